package reader

// Runs as they are stored. How: a merged object of three batches of noise is read in ranges
// that hold some of them whole; what is yielded is decoded and its offsets are compared, and
// bytes are spoilt.

import (
	"context"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/segment"
)

// noisy is a world with merged objects of partition 0, batches of which are larger than
// storedBytesMin, and an object that is not merged.
func noisy(t *testing.T, c Config) *world {
	w := newWorld(t, c)
	random := rand.New(rand.NewPCG(1, 2))
	rows := &foz.Rows{}
	for i := range 300 {
		value := make([]byte, 1000)
		for j := range value {
			value[j] = byte(random.Uint32())
		}
		rows.Append(int64(i), nil, value, nil)
	}
	w.made++
	w.placeAll(w.encode([]segment.Part{{Partition: part(0), Rows: rows}}))
	w.merge(83<<10, func(offset int64) bool { return offset%50 < 40 }, 0) // 3 batches
	w.placeAll(w.object(5, 10, 0))
	return w
}

// readStored reads a range with ScanStored and gives the offsets, and how many runs were as
// they are stored. Each is decoded as its object has it.
func (w *world) readStored(base, next int64) (offsets []int64, stored int, err error) {
	position := base
	runs := w.reader.ScanStored(w.t.Context(), part(0), foz.Range{Base: base, Next: next})
	for run, err := range runs {
		if err != nil {
			return offsets, stored, err
		}
		if run.Base != position {
			w.t.Errorf("a run begins at %d, after %d", run.Base, position)
		}
		position = run.Next()
		if run.Stored == nil {
			for i := range run.Len() {
				offsets = append(offsets, run.Offset(i))
			}
			continue
		}
		stored++
		s := foz.Segment{
			Level: 1, Batches: 1, Rows: int32(run.Len()), ByteEnd: int64(len(run.Stored)),
			CRC32C: crc32.Checksum(run.Stored, castagnoli),
		}
		decoded, _, err := segment.DecodeMerged(run.Stored, s)
		if err != nil {
			return offsets, stored, err
		}
		offsets = append(offsets, decoded...)
	}
	return offsets, stored, nil
}

func TestScanStored(t *testing.T) {
	w := noisy(t, Config{})
	for _, c := range []struct {
		base, next int64
		stored     int
	}{
		{0, end, 3}, {1, end, 2}, {0, 299, 3}, {0, 280, 2}, {130, 140, 0}, {299, end, 0}, {300, end, 0},
	} {
		offsets, stored, err := w.readStored(c.base, c.next)
		if err != nil || stored != c.stored {
			t.Errorf("[%d,%d): %d runs as they are stored, want %d; %v",
				c.base, c.next, stored, c.stored, err)
		}
		var want []int64
		for _, r := range w.want[part(0)] {
			if c.base <= r.Offset && r.Offset < c.next {
				want = append(want, r.Offset)
			}
		}
		if !slices.Equal(offsets, want) {
			t.Errorf("[%d,%d): offsets %v, want %v", c.base, c.next, offsets, want)
		}
	}
}

func TestDamageOfWhatIsStored(t *testing.T) {
	for _, c := range []struct {
		last int
		want error
	}{{2, nil}, {99, segment.ErrDamaged}} {
		w := noisy(t, Config{FetchBytesMax: 1, AheadMax: 1})
		w.bucket.spoil = func(
			_ context.Context, n int, _ string, data []byte, err error,
		) ([]byte, error) {
			if 2 <= n && n <= c.last { // the first is of the footer
				data[len(data)/2] ^= 1
			}
			return data, err
		}
		_, stored, err := w.readStored(0, end)
		if !errors.Is(err, c.want) || (stored == 3) != (err == nil) {
			t.Errorf("spoilt up to GET %d: %d stored runs, then %v", c.last, stored, err)
		}
	}
}
