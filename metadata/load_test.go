package metadata

import (
	"errors"
	"testing"

	"github.com/fozlog/foz/objectstore"
)

// TestLoad: how: a lab's log is loaded with and without snapshots, and from a store that does
// not answer. Nothing is written.
func TestLoad(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		if _, err := Load(t.Context(), l.store); !errors.Is(err, ErrNoCluster) {
			t.Errorf("an empty bucket: %v", err)
		}
		n := l.node("a")
		n.lead()
		for _, slot := range []uint64{3, 5, 8} {
			n.writeTo(slot)
			if slot > 3 {
				n.snapshot()
				n.writeTo(slot + 1)
			}
			counted := objectstore.NewCounted(l.store)
			s, err := Load(t.Context(), counted)
			if err != nil || s.Hash() != n.State().Hash() {
				t.Fatalf("slot %d: %v, %v", n.slot(), s, err)
			}
			if counted.Requests(objectstore.OpCreate)+counted.Requests(objectstore.OpDelete) > 0 {
				t.Errorf("it has written: %v", counted.Counts())
			}
		}
		silent := objectstore.NewFaulty(l.store, func(string, string) objectstore.Fate {
			return objectstore.Fate{Outcome: objectstore.Drop}
		})
		if _, err := Load(t.Context(), silent); !errors.Is(err, objectstore.ErrFault) {
			t.Errorf("no answer: %v", err)
		}
	})
}
