package httpapi

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/fozlog/foz"
)

// typedHouse has a typed topic t, of one partition, with ten records.
func typedHouse() *house {
	h := newHouse()
	t := h.topic("t", 1, foz.TopicConfig{})
	t.Schema = foz.Schema{Columns: []foz.SchemaColumn{
		{Name: "n", Type: foz.TypeInt64, Pointer: "/n", Nullable: true},
		{Name: "s", Type: foz.TypeUTF8, Pointer: "/s", Nullable: true},
		{Name: "day", Type: foz.TypeDate32, Pointer: "/day", Nullable: true},
	}}
	h.topics["t"] = t
	rows := h.log(foz.Partition{Topic: t.ID})
	for i := range 10 {
		value := fmt.Sprintf(`{"n":%d,"s":"s%d","day":"2001-01-%02d"}`, i, i%3, i+1)
		if i == 5 {
			value = "no JSON"
		}
		rows.Append(int64(100+i), []byte{byte('a' + i)}, []byte(value), nil)
	}
	return h
}

// How: reads with columns and filters, as text; each answer is compared whole.
func TestReadTyped(t *testing.T) {
	for _, c := range []struct{ query, lines string }{
		{"columns=n,s&offset=8", `{"n":8,"s":"s2"} {"n":9,"s":"s0"}`},
		{"columns=day,offset&offset=4&limit=2",
			`{"offset":4,"day":"2001-01-05"} {"offset":5,"day":null}`},
		{"columns=offset&where=n > 7", `{"offset":8} {"offset":9}`},
		{"columns=n&where=s = 's1' and n < 5", `{"n":1} {"n":4}`},
		{"columns=n&where=s = 's1'&limit=2", `{"n":1} {"n":4}`},
		{"columns=key&where=n is null", `{"key":"f"}`},
		{"columns=n&where=day >= '2001-01-10'", `{"n":9}`},
		{"columns=n&where=timestamp < 102 or offset = 9", `{"n":0} {"n":1} {"n":9}`},
		{"columns=n&where=n > 100", ``},
		{"columns=n&where=n < 3&timestamp=101&until=108", `{"n":1} {"n":2}`},
		{"offset=9&where=n = 9", `{"offset":9,"timestamp":109,"key":"j",` +
			`"value":"{\"n\":9,\"s\":\"s0\",\"day\":\"2001-01-10\"}","headers":[]}`},
	} {
		for _, runRows := range []int{0, 3} {
			h := typedHouse()
			h.runRows = runRows
			api := h.api(Config{}).Handler()
			values, err := url.ParseQuery(c.query)
			if err != nil {
				t.Fatal(err)
			}
			query := values.Encode()
			got := do(api, "GET", oneRead+"?"+query, "", "Accept: "+mediaNDJSON)
			wantEqual(t, c.query, strings.Join(strings.Fields(got.body), " "), c.lines)
			got = do(api, "GET", oneRead+"?"+query, "", "Accept: "+mediaJSON)
			wantEqual(t, c.query+" as JSON", strings.Contains(got.body,
				`{"records":[`+strings.ReplaceAll(c.lines, "} {", "},{")+`],`), true)
		}
	}
}

// How: next_offset is where the next read begins, whatever matched.
func TestReadFilteredNext(t *testing.T) {
	for query, next := range map[string]string{
		"where=n%3D1":                     "10",
		"where=n%3D1&limit=1":             "4",
		"where=s%3D's1'&limit=2":          "5",
		"where=n%3D77":                    "10",
		"where=n%3D77&limit=1":            "10",
		"where=n%3D1&end_offset=4":        "4",
		"where=n%3D1&offset=3&limit=5":    "10",
		"where=n%20in%20(1,9)&limit=2":    "10",
		"where=n%20is%20null&max_bytes=1": "10",
	} {
		h := typedHouse()
		h.runRows = 4
		for _, media := range []string{mediaJSON, mediaNDJSON, mediaArrow} {
			got := do(h.api(Config{}).Handler(), "GET", oneRead+"?"+query, "", "Accept: "+media)
			wantEqual(t, query+" "+media, got.header.Get(headerNextOffset), next)
		}
	}
}

// How: Arrow answers have just the columns asked for, or all of the record and the schema; of all
// partitions with one more. They are read as a stranger would.
func TestReadTypedArrow(t *testing.T) {
	for _, c := range []struct{ target, schema, first string }{
		{oneRead + "?columns=s,n,offset&where=n%3E6", "s n offset", "s1 7 7"},
		{oneRead, "offset timestamp key value headers n s day", ""},
		{"/v1/topics/t/records?columns=n&where=n%3E6", "n", "7"},
		{"/v1/topics/t/records?columns=n,partition&where=n%3E6", "n partition", "7 0"},
		{"/v1/topics/t/records", "partition offset timestamp key value headers n s day", ""},
		{oneRead + "?columns=day&where=n%3E99", "day", ""},
	} {
		got := do(typedHouse().api(Config{}).Handler(), "GET", c.target, "", "Accept: "+mediaArrow)
		r, err := ipc.NewReader(bytes.NewReader([]byte(got.body)))
		if err != nil {
			t.Fatalf("%s: %v", c.target, err)
		}
		var names []string
		for _, f := range r.Schema().Fields() {
			names = append(names, f.Name)
		}
		wantEqual(t, c.target, strings.Join(names, " "), c.schema)
		if c.first != "" && r.Next() {
			var cells []string
			for i := range r.RecordBatch().NumCols() {
				cells = append(cells, r.RecordBatch().Column(int(i)).ValueStr(0))
			}
			wantEqual(t, c.target, strings.Join(cells, " "), c.first)
			wantEqual(t, c.target+" rows", r.RecordBatch().NumRows(), 3)
		}
		r.Release()
	}
}

// How: what cannot be read is refused before the first byte.
func TestReadTypedRefused(t *testing.T) {
	for query, detail := range map[string]string{
		"columns=nothing":                  `offset, timestamp, key, value, headers, n, s, day`,
		"columns=n,n":                      `column "n" is asked for twice`,
		"columns=partition,partition":      `column "partition" is asked for twice`,
		"where=nothing%3D1":                "there is no column nothing",
		"where=n%3D'x'":                    "column n with, which is int64",
		"where=n%3D":                       "its end is nothing to compare",
		"where=headers%20is%20null":        "no column headers",
		"where=" + strings.Repeat("(", 99): "more than 32 deep",
		"where=" + strings.Repeat("n%3D1%20or%20", 2000) + "n%3D1": "at most 4096",
	} {
		for _, media := range []string{mediaJSON, mediaArrow, mediaSSE} {
			got := do(typedHouse().api(Config{}).Handler(), "GET", oneRead+"?"+query, "",
				"Accept: "+media)
			p := checkProblem(t, query, got, foz.CodeBadRequest)
			if !strings.Contains(p.Detail, detail) {
				t.Errorf("%.60s: %s, want %s", query, p.Detail, detail)
			}
		}
	}
}

// How: a settled range has a tag; what it holds depends on the filter and the columns, too.
func TestReadTypedTags(t *testing.T) {
	h := typedHouse()
	seen := map[string]string{}
	for _, query := range []string{"", "&columns=n", "&columns=s", "&where=n%3D1", "&where=n%3D2"} {
		target := oneRead + "?offset=0&end_offset=5" + query
		tag := do(h.api(Config{}).Handler(), "GET", target, "").header.Get("Etag")
		again := do(h.api(Config{}).Handler(), "GET", target, "").header.Get("Etag")
		if tag == "" || tag != again || seen[tag] != "" {
			t.Errorf("%q has the tag %s, then %s; so has %q", query, tag, again, seen[tag])
		}
		seen[tag] = query + "."
	}
}
