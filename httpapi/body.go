package httpapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/fozlog/foz"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// flow reads a request's body as it comes off the connection, and gives it up when it comes
// slower than the floor.
type flow struct {
	body     io.Reader
	control  *http.ResponseController
	rateMin  int64
	begun    time.Time
	grace    time.Duration
	deadline time.Time
	read     int64
	err      error // what ended it; io.EOF: all is read
}

func (a *API) newFlow(w *response, r *http.Request) *flow {
	return &flow{
		body: r.Body, control: http.NewResponseController(w), rateMin: a.config.BodyRateMin,
		begun: time.Now(), grace: a.config.BodyGrace,
	}
}

func (f *flow) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	allowed := f.grace + time.Duration(f.read/f.rateMin)*time.Second
	if at := f.begun.Add(allowed); at.After(f.deadline) {
		f.deadline = at
		f.control.SetReadDeadline(at) // where there is no connection there is no need
	}
	n, err := f.body.Read(p)
	f.read += int64(n)
	if err == io.EOF { // from now on the server reads, to notice a client that goes away
		f.control.SetReadDeadline(time.Time{})
	}
	if err != nil {
		f.err = f.explain(err)
	}
	return n, f.err
}

func (f *flow) explain(err error) error {
	switch {
	case err == io.EOF:
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return badRequest("the body came slower than %d bytes per second", f.rateMin)
	}
	return badRequest("read the body: %w", err)
}

// capped lets so many bytes through.
type capped struct {
	r         io.Reader
	left, max int
}

func (c *capped) Read(p []byte) (int, error) {
	if len(p) > c.left+1 {
		p = p[:c.left+1] // one more, to tell a body that ends here from one that is too long
	}
	n, err := c.r.Read(p)
	if n > c.left {
		n, err = c.left, bodyTooLarge(c.max)
	}
	c.left -= n
	return n, err
}

func bodyTooLarge(size int) error {
	return foz.Errorf(foz.CodeBatchTooLarge, "the body is over %d bytes (decoded)", size)
}

// openBody gives the body without its content encoding. It never yields more than sizeMax
// bytes: then it fails. What it buffers is in the lease; call done when all is read.
func (a *API) openBody(
	w *response, r *http.Request, l *lease, sizeMax int,
) (body io.Reader, done func(), err error) {
	encoding := strings.ToLower(strings.Join(r.Header.Values("Content-Encoding"), ", "))
	switch encoding {
	case "", "identity":
		if r.ContentLength > int64(sizeMax) {
			return nil, nil, bodyTooLarge(sizeMax)
		}
	case "gzip", "x-gzip", "zstd":
	default:
		return nil, nil, unsupportedEncoding(w, encoding)
	}
	w.body = a.newFlow(w, r)
	body, done = w.body, func() {}
	switch encoding {
	case "gzip", "x-gzip":
		body = &gunzip{raw: w.body}
	case "zstd":
		body, done, err = a.openZstd(r.Context(), w.body, l)
	}
	return &capped{r: body, left: sizeMax, max: sizeMax}, done, err
}

func unsupportedEncoding(w *response, encoding string) error {
	w.Header().Set("Accept-Encoding", "gzip, zstd")
	return foz.Errorf(foz.CodeUnsupportedMediaType,
		"content encoding %s is not one of gzip, zstd", shortened(encoding))
}

// gunzip opens on the first read: its buffers are made when there are bytes.
type gunzip struct {
	raw io.Reader
	z   *gzip.Reader
}

func (g *gunzip) Read(p []byte) (n int, err error) {
	if g.z == nil {
		if g.z, err = gzip.NewReader(g.raw); err != nil {
			g.z = nil
			return 0, undecodable("gzip", err)
		}
	}
	n, err = g.z.Read(p)
	return n, undecodable("gzip", err)
}

// undecodable leaves the end and what the flow says alone.
func undecodable(encoding string, err error) error {
	var known *foz.Error
	switch {
	case err == nil, err == io.EOF, errors.As(err, &known):
		return err
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		return foz.Errorf(foz.CodeBatchTooLarge, "the body is over a limit: of its decoded bytes, or "+
			"of %d bytes for the window that its frame wants: %w", zstdWindowMax, err)
	}
	return badRequest("the body is not whole %s: %w", encoding, err)
}

const zstdWindowMax = 8 << 20

// openZstd reads the compressed body before it takes a decoder, so that slow clients hold no
// decoder's window.
func (a *API) openZstd(
	ctx context.Context, raw io.Reader, l *lease,
) (io.Reader, func(), error) {
	compressed, free, err := a.readAll(&capped{
		r: raw, left: a.config.BodyBytesMax, max: a.config.BodyBytesMax,
	}, l)
	if err != nil {
		return nil, nil, err
	}
	var d *zstd.Decoder
	select {
	case d = <-a.zstd:
	case <-ctx.Done():
		free()
		return nil, nil, ctx.Err()
	}
	done := func() {
		if d != nil && d.Reset(nil) != nil { // it lets go of the body
			d = nil
		}
		a.zstd <- d
		free()
	}
	if d == nil {
		d, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindowMax),
			zstd.WithDecoderMaxMemory(uint64(a.config.BodyBytesMax)))
	}
	if err == nil {
		err = d.Reset(bytes.NewReader(compressed))
	}
	if err != nil {
		done()
		return nil, nil, undecodable("zstd", err)
	}
	return unzstd{d}, done, nil
}

type unzstd struct{ d *zstd.Decoder }

func (u unzstd) Read(p []byte) (int, error) {
	n, err := u.d.Read(p)
	return n, undecodable("zstd", err)
}
