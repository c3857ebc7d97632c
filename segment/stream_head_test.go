package segment

// How: heads are read of the messages of a stream that was written here, and of metadata that the
// fuzzer makes of them; what may be allocated is a small multiple of the input.

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/fozlog/foz"
)

// headsOf cuts a stream into the metadata of its messages, as strangers do.
func headsOf(t testing.TB, stream []byte) (metadata [][]byte) {
	t.Helper()
	for {
		length, err := ParsePrefix(stream)
		if err != nil {
			t.Fatal(err)
		}
		if length == 0 {
			return metadata
		}
		m := stream[MessagePrefixBytes:][:length]
		head, err := InspectMessage(m)
		if err != nil {
			t.Fatal(err)
		}
		metadata = append(metadata, m)
		stream = stream[MessagePrefixBytes+length+int(head.BodyBytes):]
	}
}

func threeRows(t testing.TB) []byte {
	t.Helper()
	rows := &foz.Rows{}
	for range 3 {
		rows.Append(1, []byte("key"), []byte("value"), nil)
	}
	var b bytes.Buffer
	w, err := NewStreamWriter(&b,
		StreamOptions{Columns: []string{"value", "partition"}, Partition: true})
	if err == nil {
		err = w.Write(0, foz.Run{Rows: rows, To: 3})
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestHeads(t *testing.T) {
	stream := threeRows(t)
	heads := headsOf(t, stream)
	if len(heads) != 2 {
		t.Fatalf("%d messages", len(heads))
	}
	schema, errSchema := InspectMessage(heads[0])
	batch, err := InspectMessage(heads[1])
	names, errNames := SchemaColumns(heads[0])
	if err := errors.Join(err, errSchema, errNames); err != nil || schema != (MessageHead{}) ||
		!batch.RecordBatch || batch.Rows != 3 || batch.BodyBytes == 0 ||
		!slices.Equal(names, []string{"value", "partition"}) {
		t.Errorf("schema %+v of %q, batch %+v, %v", schema, names, batch, err)
	}
	if _, err := SchemaColumns(heads[1]); !errors.Is(err, ErrDamaged) {
		t.Errorf("the columns of a batch: %v", err)
	}
	again := AppendMessage(nil, heads[0])
	again = AppendMessage(again, heads[1])
	again = append(again, stream[len(again):]...)
	if !bytes.Equal(again, stream) || !bytes.HasSuffix(stream, AppendEndOfStream(nil)) {
		t.Error("the messages do not make the stream again")
	}
	for prefix, what := range map[string]string{
		"ARROW1\x00\x00": "a file", "\x10\x00\x00\x00\x00\x00\x00\x00": "an old stream",
		"\xff\xff\xff\xff\xff\xff\xff\xff": "a negative length",
		"\xff\xff\xff\xff\x00\x00\x00\x7f": "a long one",
	} {
		if n, err := ParsePrefix([]byte(prefix)); err == nil {
			t.Errorf("%s: %d", what, n)
		}
	}
}

func FuzzHeads(f *testing.F) {
	for _, m := range headsOf(f, threeRows(f)) {
		f.Add(m)
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, metadata []byte) {
		checkAllocated(t, 64*len(metadata)+64<<10, func() {
			head, err := InspectMessage(metadata)
			if err == nil && (head.BodyBytes < 0 || head.Rows < 0) ||
				err != nil && !errors.Is(err, ErrDamaged) {
				t.Errorf("%+v, %v", head, err)
			}
			if _, err := SchemaColumns(metadata); err != nil && !errors.Is(err, ErrDamaged) {
				t.Error(err)
			}
		})
	})
}
