// How: stores that are right pass the full check and are left empty; stores that are wrong in
// one way each fail at the point that asks for it, and at no earlier one.
package objectstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fozlog/foz/objectstore"
)

var small = objectstore.FullConfig{Clients: 8, Keys: 10, Creates: 10}

// examine is the verdicts of a full check, in one line, and the findings.
func examine(t *testing.T, s objectstore.Store, config objectstore.FullConfig) (
	string, []objectstore.Finding) {
	t.Helper()
	var verdicts []string
	var all []objectstore.Finding
	for f := range objectstore.CheckFull(t.Context(), s, config) {
		if f.Point != len(all)+1 || f.What == "" || f.Took <= 0 {
			t.Errorf("finding %+v is incomplete", f)
		}
		verdicts = append(verdicts, string(f.Verdict))
		all = append(all, f)
	}
	return strings.Join(verdicts, " "), all
}

func TestCheckFullGoodStores(t *testing.T) {
	for _, s := range []objectstore.Store{objectstore.NewMemory(), openDir(t, t.TempDir())} {
		config := small
		config.Also = []objectstore.Store{objectstore.NewCounted(s)}
		verdicts, all := examine(t, s, config)
		if verdicts != "ok ok ok ok ok ok ok note note note" {
			t.Errorf("%T: %s: %+v", s, verdicts, all)
		}
		if got := list(t, s); got != "[]" {
			t.Errorf("%T: the check left %s", s, got)
		}
	}
}

// flawed is a store that goes wrong where its way says.
type flawed struct {
	objectstore.Store
	way     string
	creates atomic.Int64
}

func (f *flawed) Create(ctx context.Context, key string, data []byte) (time.Time, error) {
	n := f.creates.Add(1)
	switch {
	case f.way == "overwrites",
		f.way == "races" && strings.Contains(key, "race/") && n%7 == 0:
		if err := f.Store.Delete(ctx, key); err != nil {
			return time.Time{}, err
		}
	case f.way == "nobody wins" && strings.Contains(key, "race/"):
		f.Store.Create(ctx, key, data)
		return time.Time{}, objectstore.ErrExists
	case f.way == "never again" && strings.HasSuffix(key, "/again") && string(data) > "generation 0":
		return time.Time{}, objectstore.ErrExists
	case f.way == "dead":
		return time.Time{}, errors.New("no route to host")
	}
	return f.Store.Create(ctx, key, data)
}

func (f *flawed) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	data, err := f.Store.Get(ctx, key, offset, length)
	if f.way == "flips" && len(data) > 1000 {
		data[999] ^= 1
	}
	return data, err
}

func (f *flawed) List(ctx context.Context, prefix, after string, limit int) (
	[]objectstore.Info, bool, error) {
	page, more, err := f.Store.List(ctx, prefix, after, limit)
	switch {
	case f.way == "lists late" && strings.HasSuffix(prefix, "visible/"):
		return nil, false, err
	case f.way == "one page only":
		return page, false, err
	case f.way == "by path" && len(page) > 4 && strings.HasSuffix(page[3].Key, "a.b"):
		page[3], page[4] = page[4], page[3]
	}
	return page, more, err
}

func TestCheckFullFlawedStores(t *testing.T) {
	for way, want := range map[string]string{
		"dead":          "FAIL",
		"overwrites":    "ok FAIL FAIL ok ok ok ok note note note",
		"races":         "ok ok FAIL ok ok ok ok note note note",
		"nobody wins":   "ok ok FAIL ok ok ok ok note note note",
		"lists late":    "ok ok ok FAIL ok ok ok note note note",
		"never again":   "ok ok ok ok FAIL ok ok note note note",
		"flips":         "ok ok ok ok ok FAIL ok note note note",
		"one page only": "ok ok ok ok ok ok FAIL note note note",
		"by path":       "ok ok ok ok ok ok FAIL note note note",
	} {
		m := objectstore.NewMemory()
		verdicts, all := examine(t, &flawed{Store: m, way: way}, small)
		if verdicts != want {
			t.Errorf("%s: %s, want %s\n%+v", way, verdicts, want, all)
		}
		if got := list(t, m); got != "[]" {
			t.Errorf("%s: the check left %s", way, got)
		}
	}
}

// TestCheckFullUnclear: answers that are lost here and there are counted, and are no failure
// of the race.
func TestCheckFullUnclear(t *testing.T) {
	var n atomic.Int64
	s := objectstore.NewFaulty(objectstore.NewMemory(), func(op, key string) objectstore.Fate {
		if op == objectstore.OpCreate && strings.Contains(key, "race/") && n.Add(1)%3 == 0 {
			return objectstore.Fate{Outcome: objectstore.ApplyThenFail}
		}
		return objectstore.Fate{}
	})
	verdicts, all := examine(t, s, small)
	if !strings.HasPrefix(verdicts, "ok ok ok ") ||
		!strings.Contains(all[2].Detail, "26 requests without a clear answer") {
		t.Errorf("%s: %+v", verdicts, all[2])
	}
}

// inspected is a store with settings.
type inspected struct {
	objectstore.Store
	settings objectstore.Settings
	err      error
}

func (i inspected) Settings(context.Context) (objectstore.Settings, error) {
	return i.settings, i.err
}

func TestCheckFullSettings(t *testing.T) {
	denied := errors.New("access denied")
	for _, c := range []struct {
		settings objectstore.Settings
		err      error
		want     string
	}{
		{objectstore.Settings{}, nil, "ok "},
		{objectstore.Settings{Versioned: true}, nil, "note versioned"},
		{objectstore.Settings{Locked: true}, nil, "note objects are locked"},
		{objectstore.Settings{}, denied, "note not all settings may be read: access denied"},
		{objectstore.Settings{Expiring: []string{"30d"}}, denied, `FAIL lifecycle rules take`},
	} {
		_, all := examine(t, inspected{objectstore.NewMemory(), c.settings, c.err}, small)
		if got := fmt.Sprint(all[7].Verdict, " ", all[7].Detail); !strings.HasPrefix(got, c.want) {
			t.Errorf("%+v: %s, want %s", c.settings, got, c.want)
		}
	}
}

// TestCheckFullStops: whoever has seen enough ends the check, which cleans up.
func TestCheckFullStops(t *testing.T) {
	m := objectstore.NewMemory()
	for f := range objectstore.CheckFull(t.Context(), m, small) {
		if f.Point == 3 {
			break
		}
	}
	if got := list(t, m); got != "[]" {
		t.Errorf("the check left %s", got)
	}
}
