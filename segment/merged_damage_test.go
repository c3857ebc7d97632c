package segment

// How: every byte of small L1 objects is damaged, one after the other: what is read then is an
// error or what was merged, never other data. Batches and footers whose checksums fit and whose
// numbers lie are refused, each for its reason.

import (
	"errors"
	"hash/crc32"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	flatbuffers "github.com/google/flatbuffers/go"

	"github.com/fozlog/foz"
)

func mergeSample(t testing.TB, parts []part) ([]byte, []foz.Segment) {
	t.Helper()
	return mergeParts(t, NewMerged(MergedOptions{BatchBytes: 300}), parts)
}

// checkRefused wants an error that says so; none where that is "".
func checkRefused(t *testing.T, name string, err error, want string) {
	t.Helper()
	if want == "" && err == nil {
		return
	}
	known := errors.Is(err, ErrDamaged) || errors.Is(err, ErrVersion)
	if want == "" || !known || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: error %v, want %q", name, err, want)
	}
}

func TestMergedDamaged(t *testing.T) {
	for _, parts := range [][]part{sampleOwn(), sampleShared()} {
		object, segments := mergeSample(t, parts)
		want, err := readMerged(object, segments)
		if err != nil {
			t.Fatal(err)
		}
		unread := 0
		for i := range object {
			for _, flip := range []byte{1, 0x80} {
				object[i] ^= flip
				got, err := readMerged(object, segments)
				switch {
				case err == nil && i > len(magicPadded)+len(plainLayout.schema):
					unread++
					fallthrough
				case err == nil:
					if !reflect.DeepEqual(got, want) {
						t.Fatalf("byte %d: other rows: %v, want %v", i, got, want)
					}
				case !errors.Is(err, ErrDamaged):
					t.Fatalf("byte %d: error %v", i, err)
				}
				object[i] ^= flip
			}
		}
		// A shared object is read without its footer, an own one with all of it.
		footer := len(object) - int(segments[len(segments)-1].ByteEnd)
		if len(segments) == 1 {
			footer = len(endOfStream)
		}
		if unread != 2*footer {
			t.Errorf("%d of %d bytes are not looked at", unread/2, footer)
		}
	}
}

// TestMergedDamagedFits: where checksums fit, it may read or refuse, and cells are readable.
func TestMergedDamagedFits(t *testing.T) {
	for _, parts := range [][]part{sampleOwn(), sampleShared()} {
		object, _ := mergeSample(t, parts)
		f, err := Inspect(object)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range f.Batches {
			msg := slices.Clone(object[b.ByteStart:b.ByteEnd])
			for i := range msg {
				for _, flip := range []byte{1, 0x80, 0xff} {
					msg[i] ^= flip
					b.CRC32C = crc32.Checksum(msg, castagnoli)
					_, rows, err := DecodeMergedBatch(msg, b)
					if err == nil {
						touch(rows)
					} else if !errors.Is(err, ErrDamaged) {
						t.Fatalf("byte %d: error %v", i, err)
					}
					msg[i] ^= flip
				}
			}
		}
	}
}

// lyingBatch is a batch of two rows, one of which has a header, with other nodes or buffers.
type lyingBatch struct {
	rows        int64
	nodes       [mergedNodes][2]int64
	buffers     [mergedBuffers][]byte
	frame       []byte // the second buffer, compressed
	first, last int64
}

func newLyingBatch() *lyingBatch {
	return &lyingBatch{
		rows: 2, first: 5, last: 6,
		nodes: [...][2]int64{{2, 0}, {2, 0}, {2, 0}, {2, 0}, {2, 1}, {1, 0}, {1, 0}, {1, 0}},
		buffers: [...][]byte{
			nil, le64(5, 6), nil, le64(0, 0), nil, le32(0, 1, 2), []byte("kk"),
			nil, le32(0, 1, 2), []byte("vv"), {1}, le32(0, 1, 1), nil,
			nil, le32(0, 1), []byte("n"), nil, le32(0, 1), []byte("h"),
		},
	}
}

// message stores buffers that are not compressed.
func (l *lyingBatch) message() ([]byte, MergedBatch) {
	w := beginBatch(nil, plainLayout.shape, nil)
	for _, n := range l.nodes {
		w.putNode(int(n[0]), int(n[1]))
	}
	for i, b := range l.buffers {
		if len(b) > 0 {
			b = append(le64(notPacked), b...)
		}
		if i == 1 && l.frame != nil {
			b = l.frame
		}
		from := len(w.dst)
		w.dst = append(w.dst, b...)
		w.closeBuffer(from)
	}
	msg := w.end(int(l.rows))
	return msg, MergedBatch{Rows: 2, First: l.first, Last: l.last, ByteEnd: int64(len(msg)),
		CRC32C: crc32.Checksum(msg, castagnoli)}
}

// zstdFrame is a buffer that claims 16 bytes and has data, in a frame with this window.
func zstdFrame(window byte, data []byte) []byte {
	frame := append(le64(16), 0x28, 0xB5, 0x2F, 0xFD, 0, window, byte(len(data))<<3|1, 0, 0)
	return append(frame, data...)
}

func TestDecodeMergedLies(t *testing.T) {
	wide := zstdFrame(19<<3, le64(5, 6)) // a window of 2^(10+19) bytes: RFC 8878, 3.1.1.1.2
	short := zstdFrame(0, le64(5, 6)[:15])
	long := append(le64(16), 0x28, 0xB5, 0x2F, 0xFD, 0xA0, 0, 0, 0x70, 0) // content of 7 MiB
	long = append(long, 16<<3|1, 0, 0)
	for _, c := range []struct {
		name string
		lie  func(*lyingBatch)
		want string
	}{
		{"nothing", func(*lyingBatch) {}, ""},
		{"rows", func(l *lyingBatch) { l.rows = 3 }, "3 rows, not 2"},
		{"negative rows", func(l *lyingBatch) { l.rows = -2 }, "-2 rows"},
		{"many rows", func(l *lyingBatch) { l.rows = 1 << 40 }, "1099511627776 rows"},
		{"cells", func(l *lyingBatch) { l.nodes[2][0] = 1 << 30 },
			"column key: 1073741824 cells for 2"},
		{"negative cells", func(l *lyingBatch) { l.nodes[0][0] = -1 }, "0 nulls in -1"},
		{"null offset", func(l *lyingBatch) { l.nodes[0][1] = 1 }, "1 nulls"},
		{"null pair", func(l *lyingBatch) { l.nodes[5][1] = 1 }, "1 nulls"},
		{"null name", func(l *lyingBatch) {
			l.nodes[6][1], l.buffers[13] = 1, []byte{0}
		}, "a header is null"},
		{"more nulls", func(l *lyingBatch) { l.buffers[10] = []byte{3} }, "validity"},
		{"short offsets", func(l *lyingBatch) { l.buffers[1] = le64(5) },
			"8 bytes for 2 numbers"},
		{"equal offsets", func(l *lyingBatch) { l.buffers[1] = le64(5, 5) },
			"offset 5 of row 1 does not ascend"},
		{"offsets descend", func(l *lyingBatch) { l.buffers[1] = le64(6, 5) }, "ascend"},
		{"negative offset", func(l *lyingBatch) { l.buffers[1] = le64(-1, 6) }, "ascend"},
		{"offset before", func(l *lyingBatch) { l.first = 4 }, "5 to 6, not 4 to 6"},
		{"offset after", func(l *lyingBatch) { l.last = 7 }, "5 to 6, not 5 to 7"},
		{"lists descend", func(l *lyingBatch) { l.buffers[11] = le32(0, 2, 1) },
			"column headers: offsets"},
		{"lists begin late", func(l *lyingBatch) { l.buffers[11] = le32(1, 1, 1) },
			"column headers: offsets"},
		{"more pairs", func(l *lyingBatch) {
			l.buffers[11] = le32(0, math.MaxInt32, math.MaxInt32)
		}, "1 cells for 2147483647 rows"},
		{"claimed pairs", func(l *lyingBatch) {
			l.buffers[11] = le32(0, math.MaxInt32, math.MaxInt32)
			for i := 5; i < 8; i++ {
				l.nodes[i][0] = math.MaxInt32
			}
		}, "8 bytes for 2147483648 offsets"},
		{"pairs of a null", func(l *lyingBatch) { l.buffers[10] = []byte{2} },
			"row 0 is null and has 1"},
		{"not UTF-8", func(l *lyingBatch) { l.buffers[15] = []byte{0xff} }, "not UTF-8"},
		{"cells past the data", func(l *lyingBatch) { l.buffers[8] = le32(0, 1, 3) },
			"column value: offsets"},
		{"window", func(l *lyingBatch) { l.frame = wide }, "window size exceeded"},
		{"claim", func(l *lyingBatch) { l.frame = le64(1<<20, 0) }, "not of the length"},
		{"large claim", func(l *lyingBatch) { l.frame = le64(mergedBytesMax, 0) },
			"not of the length"},
		{"too large a claim", func(l *lyingBatch) {
			l.frame = le64(mergedBytesMax+1, 0)
		}, "over the limit"},
		{"long frame", func(l *lyingBatch) { l.frame = long }, "not of the length"},
		{"short frame", func(l *lyingBatch) { l.frame = short }, "not of the length"},
	} {
		l := newLyingBatch()
		c.lie(l)
		msg, b := l.message()
		var err error
		checkAllocated(t, 2*slackBytes, func() { _, _, err = DecodeMergedBatch(msg, b) })
		checkRefused(t, c.name, err, c.want)
	}
}

func TestDecodeMergedRefuses(t *testing.T) {
	object, segments := mergeSample(t, sampleShared())
	s := segments[0]
	msg := object[s.ByteStart:s.ByteEnd]
	for _, c := range []struct {
		name   string
		msg    []byte
		change func(*foz.Segment)
		want   string
	}{
		{"level", msg, func(s *foz.Segment) { s.Level = 0 }, "level 0"},
		{"batches", msg, func(s *foz.Segment) { s.Batches = 2 }, "2 batches"},
		{"short", msg[8:], func(*foz.Segment) {}, "bytes"},
		{"checksum", msg, func(s *foz.Segment) { s.CRC32C++ }, "crc32c"},
		{"rows", msg, func(s *foz.Segment) { s.Rows = 0 }, "3 rows, not 0"},
		{"level 0", nil, func(s *foz.Segment) { s.ByteEnd, s.CRC32C = s.ByteStart, 0 }, "not a record"},
	} {
		changed := s
		c.change(&changed)
		_, _, err := DecodeMerged(c.msg, changed)
		checkRefused(t, c.name, err, c.want)
	}
}

// mergedFooter is the end of an object that tells these texts.
func mergedFooter(texts [3]string, blocks []block) []byte {
	level, batches, inputs := []byte(texts[0]), []byte(texts[1]), []byte(texts[2])
	return appendFooterOf(flatbuffers.NewBuilder(0), nil, mergedFields, blocks, []metadataEntry{
		{keyVersion, []byte("1")}, {keyLevel, level}, {keyBatches, batches}, {keyInputs, inputs},
		{keyCRC32C, []byte(checksumText(1, level, batches, inputs))},
	})
}

// asVersion1 leaves batches what version 1 tells of them.
func asVersion1(batches []MergedBatch) {
	for i := range batches {
		for j := range batches[i].Buffers {
			batches[i].Buffers[j].Offset, batches[i].Buffers[j].Length = -1, -1
		}
	}
}

// TestInspectMergedLies gives footers whose checksums fit and whose numbers do not.
func TestInspectMergedLies(t *testing.T) {
	object, segments := mergeSample(t, sampleOwn())
	s := segments[0]
	f, err := Inspect(object)
	if err != nil {
		t.Fatal(err)
	}
	blocks := blocksOf(batchSegments(f.Batches), int64(len(plainLayout.shape.metadata)))
	asVersion1(f.Batches)
	whole := [3]string{"1", string(appendBatches(nil, f.Batches, 1)), ""}
	inputs, err := appendInputs(nil, f.Inputs)
	if err != nil {
		t.Fatal(err)
	}
	whole[2] = string(inputs)
	for _, c := range []struct {
		text    int
		replace []string // old, new, old, new, ...
		want    string
	}{
		{1, nil, ""},
		{0, []string{`1`, `2`}, "unknown format version"},
		{1, []string{`"own":true`, `"own":false`}, "other segments"},
		{1, []string{`"rows":[5,`, `"rows":[4,`}, "other segments"},
		{1, []string{`"rows":[5,`, `"rows":[0,`}, "batch 0"},
		{1, []string{`"rows":[5,`, `"rows":[-5,`}, "out of bounds"},
		{1, []string{`"rows":[5,`, `"rows":[5,5,`}, "differ in length"},
		{1, []string{`"rows":[5,1,2]`, `"rows":[2147483647,1,2]`,
			`[10,1099511627777,1099511627781]`, `[10,3099511627777,3099511627781]`,
			`"span":[1099511627766`, `"span":[2199511627766`}, "2147483650 rows"},
		{1, []string{`"first":[10,`, `"first":[1099511627777,`}, "batch 1 does not follow"},
		{1, []string{`"first":[10,`, `"first":[-1,`}, "batch 0"},
		{1, []string{`"rows":[5,`, `"rows":[0,`, `"first":[10,`, `"first":[0,`,
			`"span":[1099511627766,`, `"span":[-1,`}, "batch 0 does not follow"},
		{1, []string{`"first":[10,`, `"first":[`}, "differ in length"},
		{1, []string{`"span":[1099511627766`, `"span":[3`}, "batch 0 has 5 rows"},
		{1, []string{`"span":[1099511627766`, `"span":[9223372036854775807`}, "batch 0"},
		{1, []string{`"span":[`, `"span":[-1,`}, "differ in length"},
		{1, []string{`"partition":[0,0,0]`, `"partition":[0,1,0]`}, "batch 1 does not follow"},
		{1, []string{`"start":`, `"start":1`}, "its block at"},
		{1, []string{`"bytes":[`, `"bytes":[9`}, "its block at"},
		{1, []string{`"crc32c":[`, `"crc32c":[-1,`}, keyBatches},
		{1, []string{`"buffers":["`, `"buffers":["AAAA`}, "checksums of"},
		{1, []string{`"buffers":["`, `"buffers":["?`}, keyBatches},
		{1, []string{`"buffers":["`, `"buffers":["","`}, "differ in length"},
		{1, []string{whole[1], `{}`}, "0 batches"},
		{1, []string{whole[1], `[]`}, keyBatches},
		{2, []string{`"object":[0`, `"object":[2`}, "input 0"},
		{2, []string{`"object":[0`, `"object":[-1`}, "input 0"},
		{2, []string{`"base":[3`, `"base":[-3`}, "input 0"},
		{2, []string{`"count":[4`, `"count":[-4`}, "input 0"},
		{2, []string{`"count":[4`, `"count":[9223372036854775807`}, "input 0"},
		{2, []string{`"count":[4`, `"count":[`}, keyInputs},
		{2, []string{`"object":[0,`, `"object":[`}, "differ in length"},
	} {
		texts := whole
		texts[c.text] = strings.NewReplacer(c.replace...).Replace(texts[c.text])
		if (texts == whole) != (c.want == "") {
			t.Fatalf("%q changes nothing", c.replace)
		}
		tail := mergedFooter(texts, blocks)
		lying := s
		lying.CRC32C = crc32.Checksum(tail, castagnoli)
		_, err := InspectMerged(tail, lying)
		checkRefused(t, strings.Join(c.replace, " "), err, c.want)
	}
}

// TestVerifyLies: what no checksum of a batch or footer covers is compared with the batches.
func TestVerifyLies(t *testing.T) {
	object, _ := mergeSample(t, sampleOwn())
	f, err := Verify(object)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []int{VersionOwn, Version} {
		if version == Version {
			asVersion1(f.Batches)
		}
		f.Version = version
		f.Batches[1].Buffers[1].CRC32C++
		lying, err := f.appendMergedFooter(slices.Clone(object[:f.streamEnd()]))
		if err != nil {
			t.Fatal(err)
		}
		want := "record batch 1: damaged: its buffers are not as the footer says"
		if _, err := Verify(lying); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	one, segments := mergeSample(t, sampleOwn()[:1])
	f, err = Inspect(one)
	if err != nil || segments[0].Batches != 1 {
		t.Fatal(segments, err)
	}
	b := &f.Batches[0]
	b.Nodes, b.Buffers = plainLayout.shape.places(one[b.ByteStart:b.ByteEnd])
	b.Stats = make([]foz.ColumnStats, 1)
	f.Version, f.Inputs = VersionOwn, nil
	lying, err := f.appendMergedFooter(slices.Clone(one[:f.streamEnd()]))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Inspect(lying); err == nil || !strings.Contains(err.Error(), "1 batches") {
		t.Errorf("an own segment of one batch: error %v", err)
	}
}

func TestInspectMergedRefuses(t *testing.T) {
	object, segments := mergeSample(t, sampleOwn())
	s := segments[0]
	tail := object[s.ByteEnd:]
	fits := func(tail []byte, s foz.Segment) foz.Segment {
		s.CRC32C = crc32.Checksum(tail, castagnoli)
		return s
	}
	moved := s
	moved.ByteEnd += 8
	other := s
	other.Partition.Number++
	negative := s
	negative.ByteEnd = -8
	far := s
	far.ByteEnd = math.MaxInt64
	for _, c := range []struct {
		name string
		tail []byte
		s    foz.Segment
		want string
	}{
		{"cut", tail[:len(tail)-1], s, "crc32c"},
		{"cut, fits", tail[:len(tail)-1], fits(tail[:len(tail)-1], s), "does not end as"},
		{"late", tail[1:], fits(tail[1:], s), "the footer takes"},
		{"nothing", nil, fits(nil, s), "the footer takes"},
		{"early", object[s.ByteEnd-8:], fits(object[s.ByteEnd-8:], s), "the stream ends"},
		{"elsewhere", tail, moved, "the stream ends at"},
		{"another partition", tail, other, "other segments"},
		{"negative", tail, negative, "cannot lie there"},
		{"far", tail, far, "cannot lie there"},
	} {
		_, err := InspectMerged(c.tail, c.s)
		checkRefused(t, c.name, err, c.want)
	}
}
