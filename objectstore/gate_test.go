// How: every operation meets every fate, and both sides are asserted: what the caller is told,
// and what the store behind the gate holds afterwards.
package objectstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/fozlog/foz/objectstore"
)

// operations are what each fate is tried on. Before, the store holds "old" with "old data".
var operations = map[string]func(context.Context, objectstore.Store) (string, error){
	"create": func(ctx context.Context, s objectstore.Store) (string, error) {
		_, err := s.Create(ctx, "new", []byte("data"))
		return "", err
	},
	"overwrite": func(ctx context.Context, s objectstore.Store) (string, error) {
		_, err := s.Create(ctx, "old", []byte("other"))
		return "", err
	},
	"get": func(ctx context.Context, s objectstore.Store) (string, error) {
		data, err := s.Get(ctx, "old", 0, -1)
		return string(data), err
	},
	"list": func(ctx context.Context, s objectstore.Store) (string, error) {
		page, more, err := s.List(ctx, "", "", 0)
		if more {
			return strings.Repeat("line ", len(page)) + "more", err
		}
		return strings.Repeat("line ", len(page)), err
	},
	"delete": func(ctx context.Context, s objectstore.Store) (string, error) {
		return "", s.Delete(ctx, "none", "old")
	},
}

func TestGatedFates(t *testing.T) {
	const untouched = "old=old data"
	for _, c := range []struct {
		op       string
		fate     objectstore.Fate
		told     error
		answer   string
		contents string
	}{
		{"create", objectstore.Fate{}, nil, "", "new=data old=old data"},
		{"create", objectstore.Fate{Outcome: objectstore.Drop}, objectstore.ErrFault, "", untouched},
		{"create", objectstore.Fate{Outcome: objectstore.ApplyThenFail}, objectstore.ErrFault, "",
			"new=data old=old data"},
		{"create", objectstore.Fate{Outcome: objectstore.FailLate}, objectstore.ErrFault, "", untouched},
		{"create", objectstore.Fate{Outcome: objectstore.Throttle}, objectstore.ErrThrottled, "",
			untouched},
		{"create", objectstore.Fate{Outcome: objectstore.Full}, objectstore.ErrFull, "", untouched},
		{"create", objectstore.Fate{Outcome: objectstore.Truncate, At: 2}, nil, "",
			"new=da old=old data"},
		{"create", objectstore.Fate{Outcome: objectstore.Truncate, At: 9}, nil, "",
			"new=data old=old data"},
		{"create", objectstore.Fate{Outcome: objectstore.Flip, At: 32 + 9}, nil, "",
			"new=dcta old=old data"},
		{"create", objectstore.Fate{Outcome: objectstore.IgnoreCondition}, nil, "",
			"new=data old=old data"},
		{"overwrite", objectstore.Fate{}, objectstore.ErrExists, "", untouched},
		{"overwrite", objectstore.Fate{Outcome: objectstore.ApplyThenFail}, objectstore.ErrFault, "",
			untouched},
		{"overwrite", objectstore.Fate{Outcome: objectstore.IgnoreCondition}, nil, "", "old=other"},
		{"get", objectstore.Fate{}, nil, "old data", untouched},
		{"get", objectstore.Fate{Outcome: objectstore.Drop}, objectstore.ErrFault, "", untouched},
		{"get", objectstore.Fate{Outcome: objectstore.ApplyThenFail}, objectstore.ErrFault, "",
			untouched},
		{"get", objectstore.Fate{Outcome: objectstore.Drop, Err: context.DeadlineExceeded},
			context.DeadlineExceeded, "", untouched},
		{"get", objectstore.Fate{Outcome: objectstore.Throttle}, objectstore.ErrThrottled, "", untouched},
		{"get", objectstore.Fate{Outcome: objectstore.Full}, nil, "old data", untouched},
		{"get", objectstore.Fate{Outcome: objectstore.Truncate, At: 3}, nil, "old", untouched},
		{"get", objectstore.Fate{Outcome: objectstore.Flip}, nil, "nld data", untouched},
		{"list", objectstore.Fate{}, nil, "line ", untouched},
		{"list", objectstore.Fate{Outcome: objectstore.Drop}, objectstore.ErrFault, "", untouched},
		{"list", objectstore.Fate{Outcome: objectstore.Throttle}, objectstore.ErrThrottled, "",
			untouched},
		{"list", objectstore.Fate{Outcome: objectstore.Truncate}, nil, "more", untouched},
		{"list", objectstore.Fate{Outcome: objectstore.Truncate, At: 1}, nil, "line ", untouched},
		{"delete", objectstore.Fate{}, nil, "", ""},
		{"delete", objectstore.Fate{Outcome: objectstore.Drop}, objectstore.ErrFault, "", untouched},
		{"delete", objectstore.Fate{Outcome: objectstore.ApplyThenFail}, objectstore.ErrFault, "", ""},
		{"delete", objectstore.Fate{Outcome: objectstore.FailLate}, objectstore.ErrFault, "", untouched},
		{"delete", objectstore.Fate{Outcome: objectstore.Truncate, At: 1}, objectstore.ErrFault, "",
			untouched},
		{"delete", objectstore.Fate{Outcome: objectstore.Truncate, At: 2}, objectstore.ErrFault, "", ""},
	} {
		t.Run(c.op+" "+c.fate.Outcome.String(), func(t *testing.T) {
			m := objectstore.NewMemory()
			if _, err := m.Create(t.Context(), "old", []byte("old data")); err != nil {
				t.Fatal(err)
			}
			s := objectstore.NewFaulty(m, func(_, _ string) objectstore.Fate { return c.fate })
			answer, err := operations[c.op](t.Context(), s)
			if !errors.Is(err, c.told) || answer != c.answer {
				t.Errorf("told %q, %v, want %q, %v", answer, err, c.answer, c.told)
			}
			if got := contents(t, m); got != c.contents {
				t.Errorf("the store holds %q, want %q", got, c.contents)
			}
		})
	}
}

// contents is a whole bucket on one line.
func contents(t *testing.T, s objectstore.Store) string {
	t.Helper()
	page, _, err := s.List(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, info := range page {
		data, err := s.Get(t.Context(), info.Key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, info.Key+"="+string(data))
	}
	return strings.Join(all, " ")
}

// TestGatedFailLate executes requests after their callers have given up, changed the buffer,
// and cancelled their contexts.
func TestGatedFailLate(t *testing.T) {
	m := objectstore.NewMemory()
	var late []func() error
	s := objectstore.NewFaulty(m, func(_, _ string) objectstore.Fate {
		return objectstore.Fate{Outcome: objectstore.FailLate,
			Later: func(execute func() error) { late = append(late, execute) }}
	})
	ctx, cancel := context.WithCancel(t.Context())
	data, keys := []byte("one"), []string{"a"}
	for range 2 {
		if _, err := s.Create(ctx, "a", data); !errors.Is(err, objectstore.ErrFault) {
			t.Fatal(err)
		}
	}
	if err := s.Delete(ctx, keys...); !errors.Is(err, objectstore.ErrFault) {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, "a", 0, -1); !errors.Is(err, objectstore.ErrFault) {
		t.Fatal(err)
	}
	cancel()
	copy(data, "two")
	keys[0] = "b"
	if len(late) != 3 || contents(t, m) != "" {
		t.Fatalf("%d requests to come, the store holds %q", len(late), contents(t, m))
	}
	if err := late[1](); err != nil || contents(t, m) != "a=one" {
		t.Errorf("late create: %v, the store holds %q", err, contents(t, m))
	}
	if err := late[0](); !errors.Is(err, objectstore.ErrExists) {
		t.Errorf("the other late create: %v", err)
	}
	if err := late[2](); err != nil || contents(t, m) != "" {
		t.Errorf("late delete: %v, the store holds %q", err, contents(t, m))
	}
}

// TestGatedNamesCallsByContent asserts the names by which a simulator sorts and replays, and
// that an answer can be held back.
func TestGatedNamesCallsByContent(t *testing.T) {
	var lines []string
	s := objectstore.NewGated(objectstore.NewMemory(),
		func(_ context.Context, c objectstore.Call) objectstore.Fate {
			lines = append(lines, c.String())
			return objectstore.Fate{Outcome: objectstore.ApplyThenFail,
				Answer: func(told, real error) {
					if !errors.Is(told, objectstore.ErrFault) || real != nil {
						lines = append(lines, "told: "+told.Error(), "real: "+real.Error())
					}
				}}
		})
	ctx := objectstore.WithCause(t.Context(), "append")
	s.Create(ctx, "log/1", []byte("body"))
	s.Create(ctx, "log/1", []byte("Body"))
	s.Get(ctx, "log/1", 2, 30)
	s.List(ctx, "log/", "log/0", 7)
	s.Delete(t.Context(), "log/1", "log/2")
	want := []string{
		"create log/1 4 bytes 263fc950 for append",
		"create log/1 4 bytes f11adddb for append",
		"told: no answer from the store", "real: create log/1: object exists",
		"get log/1 [2 +30] for append",
		"list log/ after log/0 limit 7 for append",
		"delete log/1 of 2 3cef7f7d for other",
	}
	if got, want := strings.Join(lines, "\n"), strings.Join(want, "\n"); got != want {
		t.Errorf("calls:\n%s\nwant:\n%s", got, want)
	}
}
