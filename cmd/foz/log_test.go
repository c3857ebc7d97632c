package main

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/fozlog/foz/metadata"
	"github.com/fozlog/foz/metadata/logpb"
)

// How: entries of the log as `foz log show` has them, and whole lines of what is printed. The
// entries are metadata's golden ones.

func TestLogShowsRows(t *testing.T) {
	for name, want := range map[string]string{
		"swap": `{"object":"data/00000000000000000005/m.arrow","outputs":[` +
			`{"topic":"74000000-0000-0000-0000-000000000000","partition":0,"base":0,"next":7,"rows":3,` +
			`"byte_start":8,"byte_end":108,"batches":2,"inputs":[` +
			`{"object":"data/00000000000000000000/x.arrow","base":0,"next":5},` +
			`{"object":"data/00000000000000000000/y.arrow","base":5,"next":7}]},` +
			`{"topic":"74000000-0000-0000-0000-000000000000","partition":1,"base":0,"next":7,"rows":7,` +
			`"byte_start":1008,"byte_end":1108,"batches":2,"inputs":[` +
			`{"object":"data/00000000000000000000/x.arrow","base":0,"next":7}]},` +
			`{"topic":"74000000-0000-0000-0000-000000000000","partition":0,"base":5,"next":7,"rows":2,` +
			`"byte_start":2008,"byte_end":2108,"batches":2,"inputs":[` +
			`{"object":"data/00000000000000000000/y.arrow","base":5,"next":7}]}]}`,
		"retain": `{"topic":"74000000-0000-0000-0000-000000000000","revision":2,` +
			`"starts":[{"partition":0,"earliest":4},{"partition":1,"earliest":7}]}`,
		"retain-late": `{"topic":"74000000-0000-0000-0000-000000000000","revision":1,"starts":[]}`,
	} {
		body, err := os.ReadFile("../../metadata/testdata/v1-merges-entry-" + name + ".bin")
		if err != nil {
			t.Fatal(err)
		}
		entry, err := metadata.DecodeEntry(body)
		if err != nil {
			t.Fatal(err)
		}
		var shown struct {
			Commands struct {
				Commands []struct{ Swap, Retain json.RawMessage }
			}
		}
		text, err := json.Marshal(protoTree(entry.ProtoReflect()))
		if err == nil {
			err = json.Unmarshal(text, &shown)
		}
		if err != nil {
			t.Fatal(err)
		}
		c := shown.Commands.Commands[0]
		if got := string(c.Swap) + string(c.Retain); got != want {
			t.Errorf("%s is shown as\n%s, want\n%s", name, got, want)
		}
	}
}

// Columns that do not fit together are shown as they are.
func TestLogShowsWhatIsMalformed(t *testing.T) {
	for want, m := range map[string]tree{
		`{"base":[1]}`:      messageTree((&logpb.Swap{Base: []int64{1}}).ProtoReflect()),
		`{"partition":[3]}`: messageTree((&logpb.Retain{Partition: []int32{3}}).ProtoReflect()),
	} {
		if got, err := json.Marshal(m); err != nil || string(got) != want {
			t.Errorf("shown as %s, %v, want %s", got, err, want)
		}
	}
}
