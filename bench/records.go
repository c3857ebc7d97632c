package bench

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
)

// bodiesMax is how many different bodies are made: enough that no cache of the processor
// holds them.
const bodiesMax = 64

// bodies are requests' bodies: NDJSON lines of noise or words, each recordBytes long without
// its newline.
func bodies(entropy io.Reader, c Config) ([][]byte, error) {
	all := make([][]byte, min(bodiesMax, max(1, 64<<20/c.BodyBytes)))
	for n := range all {
		body, err := makeLines(entropy, c.records(), c.RecordBytes, c.Text)
		if c.Keyed && err == nil {
			body = keyed(body, n*c.records())
		}
		if err != nil {
			return nil, err
		}
		all[n] = body
	}
	return all, nil
}

func makeLines(entropy io.Reader, lines, size int, text bool) ([]byte, error) {
	const open, shut = `{"text":"`, "\"}\n"
	length := size - len(open) - len(shut) + 1
	if length < 0 {
		return nil, fmt.Errorf("make records of %d bytes: they have at least %d",
			size, len(open)+len(shut)-1)
	}
	raw := make([]byte, 3*(length/4+1))
	body := make([]byte, 0, lines*(size+1))
	for range lines {
		if _, err := io.ReadFull(entropy, raw); err != nil {
			return nil, fmt.Errorf("make records: %w", err)
		}
		body = append(body, open...)
		if text {
			body = appendWords(body, raw, length)
		} else {
			body = append(body, base64.StdEncoding.EncodeToString(raw)[:length]...)
		}
		body = append(body, shut...)
	}
	return body, nil
}

// words are what services say of themselves. zstd at its fastest makes about four bytes one.
var words = strings.Fields(`request accepted refused from upstream host port latency bytes cache
	hit miss user session token expired renewed retry after timeout connection closed reset by peer
	GET POST PUT DELETE status 200 201 204 304 400 404 409 429 500 502 503 region zone shard leader
	follower lag commit offset partition topic queue depth worker started finished in ms warning`)

// appendWords appends length bytes of words, one drawn by each byte of raw.
func appendWords(body, raw []byte, length int) []byte {
	end := len(body) + length
	for n := 0; len(body) < end; n++ {
		body = append(append(body, words[int(raw[n%len(raw)])%len(words)]...), ' ')
	}
	return body[:end]
}

// records is how many records make a body.
func (c Config) records() int { return max(1, c.BodyBytes/(c.RecordBytes+1)) }

// keyed wraps each line into an envelope with a key of its own, numbered from first.
func keyed(lines []byte, first int) []byte {
	var body []byte
	for line := range bytes.Lines(lines) {
		value := bytes.TrimSuffix(line, []byte("\n"))
		body = fmt.Appendf(body, "{\"key\":\"%08d\",\"value\":%s}\n", first, value)
		first++
	}
	return body
}

// joined cuts the bytes of all bodies, one after the other, into pieces of one size.
func joined(bodies [][]byte, size int) [][]byte {
	var pieces [][]byte
	piece := make([]byte, 0, size)
	for n := 0; len(pieces) == 0 || n < len(bodies); n++ {
		body := bodies[n%len(bodies)]
		for len(body) > 0 {
			room := min(size-len(piece), len(body))
			piece = append(piece, body[:room]...)
			if body = body[room:]; len(piece) == size {
				pieces = append(pieces, piece)
				piece = make([]byte, 0, size)
			}
		}
	}
	return pieces
}
