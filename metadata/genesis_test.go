package metadata

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/fozlog/foz/objectstore"
)

// How: a bucket's first node, on the scripted store of bucket_test.go: alone, beside others
// that begin at the same time, and where something is missing.

func entropyOf(name string) *bytes.Reader {
	return bytes.NewReader([]byte(strings.Repeat(name, 64)))
}

func TestGenesis(t *testing.T) {
	for _, c := range []struct {
		name    string
		creates []objectstore.Outcome
		asked   string
	}{
		{"no fault", nil, "get log/1, list snap/, list log/, create log/1, get log/1"},
		{"applied, answer lost", []objectstore.Outcome{applied},
			"get log/1, list snap/, list log/, create log/1, create log/1, get log/1, get log/1"},
		{"not applied", []objectstore.Outcome{drop},
			"get log/1, list snap/, list log/, create log/1, create log/1, get log/1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScripted(map[string][]objectstore.Fate{"create": fates(c.creates...)})
			if _, err := Genesis(t.Context(), s.store, nil, ""); !errors.Is(err, ErrNoCluster) {
				t.Errorf("an empty bucket: %v", err)
			}
			s.expect(t, "get log/1")
			cluster, err := Genesis(t.Context(), s.store, entropyOf("first"), "first")
			if err != nil {
				t.Fatal(err)
			}
			s.expect(t, c.asked)
			for _, node := range []string{"second", ""} {
				again, err := Genesis(t.Context(), s.store, entropyOf("second"), node)
				if err != nil || again != cluster {
					t.Errorf("found %x, %v", again, err)
				}
				s.expect(t, "get log/1")
			}
			if version := cluster[6] >> 4; version != 4 || cluster[8]>>6 != 2 {
				t.Errorf("%x is no UUID of version 4", cluster)
			}
		})
	}
}

// Another node begins the cluster before each of this node's requests: they agree.
func TestGenesisAtOnce(t *testing.T) {
	for _, call := range []string{"get log/1", "list snap/", "list log/", "create log/1"} {
		for _, far := range []bool{false, true} { // the other goes on as far as a snapshot
			t.Run(call, func(t *testing.T) {
				inLab(t, func(t *testing.T, l *lab) {
					s := &scripted{Memory: l.store, sums: map[uint32]bool{}}
					var want [16]byte
					begun := false
					store := objectstore.NewFaulty(l.store, func(op, key string) objectstore.Fate {
						if !begun && op+" "+short(key) == call {
							begun = true
							n := l.node("other")
							want = n.cfg.Cluster
							if far {
								n.lead()
								n.writeTo(9)
								n.snapshot()
							}
						}
						return objectstore.Fate{}
					})
					got, err := Genesis(t.Context(), store, entropyOf("this"), "this")
					if err != nil || got != want {
						t.Errorf("found %x, %v; the other began %x; there is %s", got, err, want,
							s.keys(t))
					}
				})
			})
		}
	}
}

// The first claim is never deleted: if it is not there and something else is, the log has
// lost its beginning, and nobody begins another.
func TestGenesisNotTwice(t *testing.T) {
	for _, key := range []string{LogKey(2), SnapshotKey(3)} {
		s := newScripted(nil)
		s.put(t, key, nil)
		if _, err := Genesis(t.Context(), s.store, entropyOf("n"), "n"); !errors.Is(err, ErrDamaged) {
			t.Errorf("with %s alone: %v", key, err)
		}
		if got := s.keys(t); got != short(key) {
			t.Errorf("there is %s", got)
		}
	}
	s := newScripted(nil)
	s.put(t, LogKey(1), []byte("not a claim"))
	if _, err := Genesis(t.Context(), s.store, entropyOf("n"), "n"); !errors.Is(err, ErrDamaged) {
		t.Errorf("a damaged claim: %v", err)
	}
}

// A node that is told of another cluster does not start on this one.
func TestAnotherClusterIsRefused(t *testing.T) {
	for _, snapshots := range []bool{false, true} {
		inLab(t, func(t *testing.T, l *lab) {
			leader := l.node("leader")
			leader.lead()
			if snapshots {
				leader.writeTo(5)
				leader.snapshot()
			}
			n := l.node("n")
			n.cfg.Cluster = testCluster
			n.state.Store(NewState(testCluster))
			if err := n.Run(t.Context()); !errors.Is(err, errMismatch) {
				t.Errorf("started with %v", err)
			}
		})
	}
}
