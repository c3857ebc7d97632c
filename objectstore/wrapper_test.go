// How: known requests are made of a counted store and the counts compared; stores that are
// wrong in one way each are checked, and the check must name the way; URLs are opened.
package objectstore_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fozlog/foz/objectstore"
)

func TestCountedCounts(t *testing.T) {
	c := objectstore.NewCounted(objectstore.NewFaulty(objectstore.NewMemory(),
		func(_, key string) objectstore.Fate {
			if key == "lost" {
				return objectstore.Fate{Outcome: objectstore.Drop}
			}
			return objectstore.Fate{}
		}))
	upload := objectstore.WithCause(t.Context(), "upload")
	c.Create(upload, "a", make([]byte, 100))
	c.Create(upload, "a", make([]byte, 100)) // an answer, but nothing stored
	if at := c.Faulted(); !at.IsZero() {
		t.Errorf("the store left nothing unanswered, and faulted at %v", at)
	}
	c.Create(upload, "lost", make([]byte, 100))
	if since := time.Since(c.Faulted()); since > time.Minute {
		t.Errorf("the store left a request without an answer, and faulted %v ago", since)
	}
	c.Create(t.Context(), "b", make([]byte, 10))
	c.Get(objectstore.WithCause(t.Context(), "fetch"), "a", 90, 100)
	c.Get(objectstore.WithCause(t.Context(), "fetch"), "c", 0, -1)
	c.List(t.Context(), "", "", 0)
	c.Delete(t.Context(), "a", "b")
	want := []objectstore.Count{
		{Op: "create", Cause: "other", Requests: 1, Bytes: 10},
		{Op: "create", Cause: "upload", Requests: 3, Bytes: 100, Errors: 1},
		{Op: "delete", Cause: "other", Requests: 1},
		{Op: "get", Cause: "fetch", Requests: 2, Bytes: 10},
		{Op: "list", Cause: "other", Requests: 1},
	}
	if got := c.Counts(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("counts are\n%+v, want\n%+v", got, want)
	}
	if got := c.Requests(objectstore.OpCreate); got != 4 {
		t.Errorf("%d creates, want 4", got)
	}
}

func TestPrefixedRefuses(t *testing.T) {
	for _, prefix := range []string{"a", "/", "a//", "../", "a/.b/"} {
		_, err := objectstore.NewPrefixed(objectstore.NewMemory(), prefix)
		if !errors.Is(err, objectstore.ErrKey) {
			t.Errorf("prefix %q: %v, want ErrKey", prefix, err)
		}
	}
}

// TestCheckGoodStores also states the requests it costs: creates a, b, a twice more, and a
// again; gets 2 that work, 1 past the end, 1 of what is deleted; lists 2, then 1; deletes 1,
// and both at the end.
func TestCheckGoodStores(t *testing.T) {
	for _, s := range []objectstore.Store{objectstore.NewMemory(), openDir(t, t.TempDir())} {
		c := objectstore.NewCounted(s)
		if err := objectstore.Check(t.Context(), c); err != nil {
			t.Errorf("%T: %v", s, err)
		}
		if got := list(t, s); got != "[]" {
			t.Errorf("%T: the check left %s", s, got)
		}
		creates, gets := c.Requests(objectstore.OpCreate), c.Requests(objectstore.OpGet)
		lists, deletes := c.Requests(objectstore.OpList), c.Requests(objectstore.OpDelete)
		if creates != 5 || gets != 4 || lists != 3 || deletes != 2 {
			t.Errorf("%T: %d creates, %d gets, %d lists, %d deletes", s, creates, gets, lists, deletes)
		}
	}
}

// wrong is a store that is wrong in one way.
type wrong struct {
	objectstore.Store
	way string
}

func (w wrong) Create(ctx context.Context, key string, data []byte) (time.Time, error) {
	date, err := w.Store.Create(ctx, key, data)
	if w.way == "never creates" {
		return date, objectstore.ErrExists
	}
	return date, err
}

func (w wrong) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	switch w.way {
	case "ignores the range":
		return w.Store.Get(ctx, key, 0, -1)
	case "reads past the end":
		if data, err := w.Store.Get(ctx, key, offset, length); !errors.Is(err, objectstore.ErrRange) {
			return data, err
		}
		return nil, nil
	}
	return w.Store.Get(ctx, key, offset, length)
}

func (w wrong) List(ctx context.Context, prefix, after string, limit int) (
	[]objectstore.Info, bool, error) {
	switch w.way {
	case "lists late":
		return nil, false, nil
	case "ignores start-after":
		after = ""
	}
	return w.Store.List(ctx, prefix, after, limit)
}

func (w wrong) Delete(ctx context.Context, keys ...string) error {
	if w.way == "deletes late" && len(keys) == 1 {
		return nil
	}
	return w.Store.Delete(ctx, keys...)
}

func TestCheckWrongStores(t *testing.T) {
	for way, want := range map[string]error{
		"never creates":       objectstore.ErrCondition,
		"ignores the range":   objectstore.ErrStale,
		"reads past the end":  objectstore.ErrRange,
		"lists late":          objectstore.ErrStale,
		"ignores start-after": objectstore.ErrStale,
		"deletes late":        objectstore.ErrStale,
	} {
		m := objectstore.NewMemory()
		err := objectstore.Check(t.Context(), wrong{m, way})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", way, err, want)
		}
		if got := list(t, m); got != "[]" {
			t.Errorf("%s: the check left %s", way, got)
		}
	}
}

func TestCheckNamesStoreThatIgnoresCondition(t *testing.T) {
	s := objectstore.NewFaulty(objectstore.NewMemory(), func(_, _ string) objectstore.Fate {
		return objectstore.Fate{Outcome: objectstore.IgnoreCondition}
	})
	err := objectstore.CheckUnder(t.Context(), s, "probe/1/")
	if !errors.Is(err, objectstore.ErrCondition) || !strings.Contains(err.Error(), "probe/1/a") {
		t.Errorf("check: %v", err)
	}
}

// TestCheckPassesFaultsOn: a store that does not answer is not called wrong.
func TestCheckPassesFaultsOn(t *testing.T) {
	for _, op := range []string{"create", "get", "list", "delete"} {
		s := objectstore.NewFaulty(objectstore.NewMemory(), func(o, _ string) objectstore.Fate {
			if o == op {
				return objectstore.Fate{Outcome: objectstore.Drop}
			}
			return objectstore.Fate{}
		})
		err := objectstore.Check(t.Context(), s)
		if !errors.Is(err, objectstore.ErrFault) || errors.Is(err, objectstore.ErrStale) {
			t.Errorf("%s fails: %v", op, err)
		}
	}
}

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a bucket")
	more := map[string]objectstore.Opener{
		"s3": func(_ context.Context, u *url.URL) (objectstore.Store, error) {
			return nil, fmt.Errorf("asked for %s", u.Host)
		},
	}
	for rawURL, want := range map[string]string{
		"mem://":                       "",
		"file://" + path:               "",
		"file:///dev/null":             "open bucket /dev/null",
		"s3://place/prefix":            "asked for place",
		"":                             "no scheme",
		"./data":                       "no scheme",
		"file://data":                  "absolute path",
		"file:data":                    "absolute path",
		"file:///data?sync=no":         "takes no",
		"mem://a":                      "nothing else",
		"mem://?x=1":                   "takes no",
		"gs://k:hidden@b":              `unknown scheme "gs", supported are file, mem, s3`,
		"gs://k:hidden@b:port":         "not a URL",
		"minio://key:hidden@host/buck": "unknown scheme",
	} {
		s, err := objectstore.Open(t.Context(), rawURL, more)
		switch {
		case want == "":
			if err != nil {
				t.Errorf("open %q: %v", rawURL, err)
				continue
			}
			put(t, s, "a")
			if d, ok := s.(*objectstore.Dir); ok {
				d.Close()
			}
		case s != nil || err == nil || !strings.Contains(err.Error(), want):
			t.Errorf("open %q = %v, %v, want an error with %q", rawURL, s, err, want)
		case strings.Contains(err.Error(), "hidden"):
			t.Errorf("open %q shows the password: %v", rawURL, err)
		case errors.Is(err, objectstore.ErrURL) != (rawURL != "file:///dev/null" &&
			rawURL != "s3://place/prefix"):
			t.Errorf("open %q: is the URL at fault? %v", rawURL, err)
		}
	}
}
