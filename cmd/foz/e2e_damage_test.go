package main

// How: a node writes objects and is killed. Some of its files are damaged, by a bit, by their
// length, or altogether. A node on what is left must say so, and never give out a record that
// is not what was written.

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fozlog/foz/segment"
)

const damageRows = 6 // records of each object in each of two partitions

// damagedTopic writes objects, one for each request, and kills the node. The objects are in
// the order of their offsets.
func damagedTopic(t *testing.T, count int) (dir string, objects []string) {
	dir = filepath.Join(t.TempDir(), "bucket")
	p := startDev(t, dir, "--flush-interval", "0s")
	call(t, "PUT", p.URL+"/v1/topics/t", nil, strings.NewReader(`{"partitions":2}`))
	for n := range count {
		resp, text := call(t, "POST", p.URL+"/v1/topics/t/records",
			map[string]string{"Content-Type": "application/json"}, damageBody(n))
		if resp.StatusCode != 200 {
			t.Fatal(text)
		}
		fresh := dataObjects(t, dir)
		fresh = slices.DeleteFunc(fresh, func(name string) bool { return slices.Contains(objects, name) })
		if len(fresh) != 1 {
			t.Fatalf("request %d made %d objects", n, len(fresh))
		}
		objects = append(objects, fresh...)
	}
	p.kill()
	return dir, objects
}

func damageValue(partition, n, i int) string {
	return fmt.Sprintf("value %d %d %d", partition, n, i)
}

func damageBody(n int) io.Reader {
	var body strings.Builder
	body.WriteString(`{"records":[`)
	for i := range damageRows {
		fmt.Fprintf(&body, `%s{"partition":0,"key":"k","value":%q},{"partition":1,"value":%q}`,
			[]string{"", ","}[min(i, 1)], damageValue(0, n, i), damageValue(1, n, i))
	}
	body.WriteString(`]}`)
	return strings.NewReader(body.String())
}

// dataObjects are the keys of the objects of records.
func dataObjects(t *testing.T, dir string) (keys []string) {
	names, err := filepath.Glob(filepath.Join(dir, "data", "*", "*.arrow"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		key, err := filepath.Rel(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, filepath.ToSlash(key))
	}
	return keys
}

// damage rewrites a file; nil removes it.
func damage(t *testing.T, name string, change func(data []byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if data = change(data); data == nil {
		err = os.Remove(name)
	} else {
		err = errors.Join(os.Chmod(name, 0o644), os.WriteFile(name, data, 0o644))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// flipAt flips one bit of the byte at a share of the file, from 0 to 1.
func flipAt(share float64) func([]byte) []byte {
	return func(data []byte) []byte {
		at := min(int(share*float64(len(data))), len(data)-1)
		data[at] ^= 1 << (at % 8)
		return data
	}
}

func TestDamagedObjects(t *testing.T) {
	t.Parallel()
	const flips = 24
	changes := map[int]func([]byte) []byte{
		flips + 1: func(data []byte) []byte { return data[:len(data)/8] },
		flips + 2: func(data []byte) []byte { return []byte{} },
		flips + 3: func([]byte) []byte { return nil },
		flips + 4: func(data []byte) []byte { return bytes.Repeat([]byte("x"), len(data)) },
	}
	for n := range flips {
		changes[n] = flipAt(float64(n) / (1.5 * flips)) // the last third is mostly footer
	}
	const sound = flips // and the last
	dir, objects := damagedTopic(t, flips+6)
	hit := map[string]bool{} // object and partition
	for n, change := range changes {
		damage(t, filepath.Join(dir, objects[n]), func(data []byte) []byte {
			before := bytes.Clone(data)
			after := change(data)
			markHits(t, hit, objects[n], before, after)
			return after
		})
	}
	p := startDev(t, dir)
	for partition := range 2 {
		for n, object := range objects {
			damaged := hit[fmt.Sprint(object, partition)]
			if (n == sound || n == flips+5) && damaged || n > flips && n < flips+5 && !damaged {
				t.Fatalf("the test itself: object %d, damaged %v", n, damaged)
			}
			readDamaged(t, p, partition, n, object, damaged)
		}
		readOver(t, p, partition, hit, objects)
		followDamaged(t, p, partition)
	}
	if len(hit) < 15 {
		t.Errorf("only %d segments were hit", len(hit))
	}
	if code := p.stop(os.Interrupt); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// markHits notes which partitions' bytes a change touched.
func markHits(t *testing.T, hit map[string]bool, object string, before, after []byte) {
	file, err := segment.Inspect(before)
	if err != nil || len(file.Segments) != 2 {
		t.Fatalf("%s: %v, %d segments", object, err, len(file.Segments))
	}
	for _, s := range file.Segments {
		if int(s.ByteEnd) > len(after) || !bytes.Equal(before[s.ByteStart:s.ByteEnd],
			after[s.ByteStart:s.ByteEnd]) {
			hit[fmt.Sprint(object, s.Partition.Number)] = true
		}
	}
}

// readDamaged reads one object's records in every format: they are right, or a problem names
// the object.
func readDamaged(t *testing.T, p *process, partition, n int, object string, damaged bool) {
	url := fmt.Sprintf("%s/v1/topics/t/partitions/%d/records?offset=%d&end_offset=%d", p.URL,
		partition, n*damageRows, (n+1)*damageRows)
	for _, accept := range []string{"application/json", "application/x-ndjson",
		"application/vnd.apache.arrow.stream"} {
		resp, text := call(t, "GET", url, map[string]string{"Accept": accept}, nil)
		if damaged {
			var problem struct{ Code, Detail string }
			if err := json.Unmarshal([]byte(text), &problem); err != nil || resp.StatusCode != 502 ||
				problem.Code != "storage_error" || !strings.Contains(problem.Detail, object) {
				t.Errorf("object %d, partition %d, damaged, as %s: %d %s", n, partition, accept,
					resp.StatusCode, text)
			}
			continue
		}
		for i := range damageRows {
			if resp.StatusCode != 200 || !strings.Contains(text, damageValue(partition, n, i)) {
				t.Errorf("object %d, partition %d, sound, as %s: %d %.300q", n, partition, accept,
					resp.StatusCode, text)
				break
			}
		}
	}
}

// readOver reads a whole partition as lines: what comes before the damage is right, and the
// end is no end.
func readOver(t *testing.T, p *process, partition int, hit map[string]bool, objects []string) {
	first := 0
	for !hit[fmt.Sprint(objects[first], partition)] {
		first++
	}
	for _, path := range []string{fmt.Sprintf("partitions/%d/records", partition), "records"} {
		r := eventRequest(t, p.URL+"/v1/topics/t/"+path)
		r.Header.Set("Accept", "application/x-ndjson")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode == 502 {
			continue
		}
		if err == nil {
			t.Errorf("%s: it ends as if it were whole, after %d bytes", path, len(text))
		}
		for n, line := range bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) {
			want := damageValue(partition, n/damageRows, n%damageRows)
			if path != "records" && (n >= first*damageRows || !bytes.Contains(line, []byte(want))) {
				t.Errorf("%s: line %d is %.200s", path, n, line)
				break
			}
		}
	}
}

// followDamaged follows a damaged partition: the events end in one that says why, and then
// the connection breaks.
func followDamaged(t *testing.T, p *process, partition int) {
	url := fmt.Sprintf("%s/v1/topics/t/partitions/%d/records?offset=0", p.URL, partition)
	resp, err := http.DefaultClient.Do(eventRequest(t, url))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	_, last, _ := strings.Cut(string(text), "event: error\n")
	if err == nil || !strings.Contains(last, `"storage_error"`) || !strings.Contains(last, "data/") {
		t.Errorf("events of partition %d end with %v after %.300q", partition, err, last)
	}
}

func TestDamagedLog(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		key    string
		change func([]byte) []byte
		says   string
	}{
		"a bit of an entry":     {slotKey(3), flipAt(0.5), slotKey(3)},
		"the end of an entry":   {slotKey(4), func(d []byte) []byte { return d[:len(d)-1] }, slotKey(4)},
		"an empty entry":        {slotKey(4), func([]byte) []byte { return []byte{} }, slotKey(4)},
		"a bit of the genesis":  {slotKey(1), flipAt(0.3), slotKey(1)},
		"no genesis":            {slotKey(1), func([]byte) []byte { return nil }, slotKey(1)},
		"a hole":                {slotKey(3), func([]byte) []byte { return nil }, "slot 3"},
		"a snapshot of nothing": {snapshotKey(4), nil, snapshotKey(4)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, _ := damagedTopic(t, 3) // genesis, claim, topic, three commits
			file := filepath.Join(dir, c.key)
			if c.change == nil {
				if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755),
					os.WriteFile(file, []byte("FOZS and nothing else"), 0o644)); err != nil {
					t.Fatal(err)
				}
			} else {
				damage(t, file, c.change)
			}
			p := launch(t, "dev", "--data-dir", dir, "--http", "127.0.0.1:0")
			code := p.ended(shortly)
			if said := p.talk(); code != 1 || !strings.Contains(said, c.says) ||
				!strings.Contains(said, "damaged") || strings.Contains(said, "foz is up") {
				t.Errorf("exit code %d:\n%s", code, said)
			}
		})
	}
}

func slotKey(slot int) string     { return fmt.Sprintf("log/%020d", slot) }
func snapshotKey(slot int) string { return fmt.Sprintf("snap/%020d", slot) }
