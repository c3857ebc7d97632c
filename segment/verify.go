package segment

import (
	"bytes"
	"fmt"
	"slices"
)

// Verify reads a whole object and checks every byte of it. The record batches have checksums;
// the rest is what was written around them, or it is damage. It fails with ErrDamaged, which
// names what is, or ErrVersion.
func Verify(object []byte) (File, error) {
	f, err := Inspect(object)
	if err != nil {
		return f, err
	}
	schema, batches := schemaMessageV1, f.Segments
	if f.Level > 0 {
		schema, batches = f.Batches[0].form().schema, batchSegments(f.Batches)
	}
	at := len(magicPadded)
	if !bytes.HasPrefix(object[at:], schema) {
		return f, damaged("the schema message at byte %d is not that of version %d", at, f.Version)
	}
	at += len(schema)
	for i, s := range batches {
		if s.ByteStart != int64(at) {
			return f, damaged("record batch %d begins at byte %d, not %d", i, s.ByteStart, at)
		}
		if err := f.verifyBatch(i, object[s.ByteStart:s.ByteEnd]); err != nil {
			return f, fmt.Errorf("record batch %d: %w", i, err)
		}
		at = int(s.ByteEnd)
	}
	if !f.endsAsWritten(object[at:]) {
		return f, damaged("the footer at byte %d is not as it was written", at)
	}
	return f, nil
}

// verifyBatch reads the i-th record batch of the object.
func (f *File) verifyBatch(i int, msg []byte) error {
	if f.Level == 0 {
		_, err := Decode(msg, f.Segments[i])
		return err
	}
	b := f.Batches[i]
	if _, _, err := DecodeMergedBatch(msg, b); err != nil {
		return err
	}
	if b.Buffers == nil {
		return nil
	}
	nodes, buffers := b.form().shape.places(msg)
	for i := range buffers {
		if b.Buffers[i].Offset < 0 { // version 1
			buffers[i].Offset, buffers[i].Length = -1, -1
		}
	}
	if !slices.Equal(b.Buffers, buffers) || b.Nodes != nil && !slices.Equal(b.Nodes, nodes) {
		return damaged("its buffers are not as the footer says")
	}
	return nil
}

// endsAsWritten says whether end is what is written after the last record batch.
func (f *File) endsAsWritten(end []byte) bool {
	if f.Level > 0 {
		want, err := f.appendMergedFooter(slices.Clone(endOfStream))
		return err == nil && bytes.Equal(end, want)
	}
	want := new(manifest).appendFooter(slices.Clone(endOfStream), f.Codec, f.Segments, f.Requests)
	return bytes.Equal(end, want)
}

// own says that all batches are one segment.
func (f *File) own() bool { return len(f.Segments) < len(f.Batches) }
