package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// A compressed buffer begins with the length it has when it is not, as an int64; -1 says that
// it was left as it is. Source: Arrow's Message.fbs, BodyCompressionMethod.
const (
	packPrefixBytes = 8
	notPacked       = -1
)

// packer compresses buffers: with zstd if it has that, else with LZ4 frames.
type packer struct {
	lz4  *lz4.Writer
	zstd *zstd.Encoder
	out  appender
}

type appender []byte

func (a *appender) Write(b []byte) (int, error) {
	*a = append(*a, b...)
	return len(b), nil
}

func newZSTDPacker() *packer {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err) // these options are constants
	}
	return &packer{zstd: e}
}

func newPacker() *packer {
	p := &packer{lz4: lz4.NewWriter(nil)}
	err := p.lz4.Apply(lz4.BlockSizeOption(lz4.Block256Kb), lz4.ChecksumOption(false),
		lz4.ConcurrencyOption(1))
	if err != nil {
		panic(err) // these options are constants
	}
	return p
}

// replace puts the compressed form of dst[from:] in its place, or a prefix before it where
// that is no longer.
func (p *packer) replace(dst []byte, from int) []byte {
	raw := dst[from:]
	if err := p.compress(raw); err != nil || len(p.out) >= len(raw) {
		dst = append(dst, make([]byte, packPrefixBytes)...)
		copy(dst[from+packPrefixBytes:], dst[from:])
		binary.LittleEndian.PutUint64(dst[from:], ^uint64(0)) // notPacked
		return dst
	}
	length := uint64(len(raw))
	dst = binary.LittleEndian.AppendUint64(dst[:from], length)
	return append(dst, p.out...)
}

// compress leaves raw's frame in out.
func (p *packer) compress(raw []byte) error {
	p.out = p.out[:0]
	if p.zstd != nil {
		p.out = p.zstd.EncodeAll(raw, p.out)
		return nil
	}
	p.lz4.Reset(&p.out)
	if _, err := p.lz4.Write(raw); err != nil {
		return err
	}
	return p.lz4.Close()
}

var (
	errBytesLimit   = errors.New("over the limit of bytes")
	errUnpackedSize = errors.New("decompressed buffer is not of the length it claims")
)

// unpacker decompresses buffers, left bytes of them in all. It allocates no more than twice
// what has really been decompressed, plus the decoder's own fixed buffers.
type unpacker struct {
	left int64
	lz4  *lz4.Reader
	zstd *zstd.Decoder
}

// lz4Readers are kept because one costs more than a small segment.
var lz4Readers = sync.Pool{New: func() any { return lz4.NewReader(nil) }}

// zstdWindowBytesMax is what decoders must accept at least: RFC 8878, 3.1.1.1.2.
const zstdWindowBytesMax = 8 << 20

func (u *unpacker) unpack(codec Codec, b []byte) ([]byte, error) {
	if codec == Uncompressed || len(b) == 0 {
		return b, nil
	}
	if len(b) < packPrefixBytes {
		return nil, errUnpackedSize
	}
	length := int64(binary.LittleEndian.Uint64(b))
	b = b[packPrefixBytes:]
	if length == notPacked {
		return b, nil
	}
	if length < 0 || length > u.left {
		return nil, fmt.Errorf("%w: a buffer claims %d bytes", errBytesLimit, length)
	}
	u.left -= length
	if codec == ZSTD && length <= int64(readStepBytes+zstdRatioUsual*len(b)) {
		return u.unpackZSTD(b, int(length))
	}
	source, err := u.open(codec, b)
	if err != nil {
		return nil, err
	}
	return readAll(source, int(length))
}

// zstdRatioUsual is how far a buffer's claim is believed: memory in proportion to what is there.
const zstdRatioUsual = 32

// unpackZSTD decompresses a buffer at once, into memory of the length that it claims.
func (u *unpacker) unpackZSTD(b []byte, length int) ([]byte, error) {
	if err := u.openZSTD(); err != nil {
		return nil, err
	}
	const margin = 16 // without it the decoder is slower at the end
	out, err := u.zstd.DecodeAll(b, make([]byte, 0, length+margin))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errUnpackedSize, err)
	case len(out) != length:
		return nil, errUnpackedSize
	}
	return slices.Clip(out), nil
}

func (u *unpacker) openZSTD() (err error) {
	if u.zstd == nil {
		u.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindowBytesMax),
			zstd.WithDecodeAllCapLimit(true))
	}
	if err != nil {
		return fmt.Errorf("open zstd: %w", err)
	}
	return nil
}

func (u *unpacker) open(codec Codec, b []byte) (io.Reader, error) {
	source := &sliceReader{b}
	switch codec {
	case LZ4:
		if u.lz4 == nil {
			u.lz4 = lz4Readers.Get().(*lz4.Reader)
		}
		u.lz4.Reset(source)
		return u.lz4, nil
	case ZSTD:
		if err := u.openZSTD(); err != nil {
			return nil, err
		}
		return u.zstd, u.zstd.Reset(source)
	}
	return nil, fmt.Errorf("buffers are compressed with %s", codec)
}

func (u *unpacker) close() {
	if u.lz4 != nil {
		u.lz4.Reset(nil)
		lz4Readers.Put(u.lz4)
		u.lz4 = nil
	}
	if u.zstd != nil {
		u.zstd.Close()
	}
}

// sliceReader is a bytes.Reader without the methods by which a decoder would take its bytes
// whole.
type sliceReader struct{ b []byte }

func (r *sliceReader) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.b)
	r.b = r.b[n:]
	return n, nil
}

// readStepBytes is what a length that nothing has vouched for may allocate.
const readStepBytes = 256 << 10

// readAll reads a source that must have exactly length bytes.
func readAll(r io.Reader, length int) ([]byte, error) {
	b, err := readN(r, nil, length)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnpackedSize, err)
	}
	var more [1]byte
	if n, err := io.ReadFull(r, more[:]); n > 0 || err != io.EOF {
		return nil, errUnpackedSize
	}
	return b, nil
}

// readN reads n bytes into buf, which it grows as they come: never by more than it has.
func readN(r io.Reader, buf []byte, n int) ([]byte, error) {
	buf = buf[:0]
	for len(buf) < n {
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(n, max(2*len(buf), readStepBytes)))
			copy(grown, buf)
			buf = grown
		}
		got, err := io.ReadFull(r, buf[len(buf):min(n, cap(buf))])
		buf = buf[:len(buf)+got]
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return buf, err
		}
	}
	return buf, nil
}
