package segment

// How: the bytes of format version 1 lie in testdata. Encode must write exactly them and every
// later reader must read them. They are made by UPDATE_GOLDEN=1 go test ./segment and are never
// edited or written again: a change of format is a new version and a new file.

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func goldenFile(codec Codec) string {
	return filepath.Join("testdata", "l0-v1-"+codec.String()+".arrow")
}

func readGolden(t testing.TB, codec Codec) []byte {
	t.Helper()
	object, err := os.ReadFile(goldenFile(codec))
	if err != nil {
		t.Fatal(err)
	}
	return object
}

func TestGolden(t *testing.T) {
	parts, requests := sampleParts()
	for _, codec := range []Codec{Uncompressed, LZ4} {
		object, segments, err := (&Encoder{Codec: codec}).Encode(nil, parts, requests)
		if err != nil {
			t.Fatal(err)
		}
		if os.Getenv("UPDATE_GOLDEN") != "" {
			writeGolden(t, goldenFile(codec), object)
		}
		golden := readGolden(t, codec)
		// Decompressed content is the promise; how well a library compresses is not.
		if codec == Uncompressed && !bytes.Equal(object, golden) {
			t.Errorf("%s: encoded bytes are not the golden ones", codec)
		}
		if codec == LZ4 {
			f, err := Inspect(golden)
			if err != nil {
				t.Fatal(err)
			}
			segments = f.Segments
		}
		checkObject(t, golden, parts, segments, requests)
	}
}

// TestGoldenMerged: level 1. How well zstd compresses is not the promise, what is read is.
func TestGoldenMerged(t *testing.T) {
	for name, parts := range map[string][]part{
		"v1-own": sampleOwn(), "v1-shared": sampleShared(), "v2-own": sampleOwn(),
	} {
		name = filepath.Join("testdata", "l1-"+name+".arrow")
		object, segments := mergeParts(t, NewMerged(MergedOptions{BatchBytes: 300}), parts)
		if os.Getenv("UPDATE_GOLDEN") != "" {
			writeGolden(t, name, object)
		}
		golden, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Inspect(golden)
		if err != nil {
			t.Fatal(err)
		}
		checkMerged(t, golden, f.Segments, parts)
		checkForeignMerged(t, golden, parts)
		if len(f.Segments) != len(segments) || len(f.Batches) < 3 {
			t.Errorf("%s: %d segments of %d batches", name, len(f.Segments), len(f.Batches))
		}
		from := len(magicPadded)
		if !bytes.HasPrefix(golden[from:], plainLayout.schema) || !plainLayout.shape.begins(
			golden[f.Batches[0].ByteStart:]) {
			t.Errorf("%s: metadata is not as it is written now", name)
		}
	}
}

func writeGolden(t *testing.T, name string, object []byte) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, os.ErrExist) {
		return // written once
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(object); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
