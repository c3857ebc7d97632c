package main

// Somebody who can write to the bucket exchanges whole objects, each of them sound.
//
// How: a node writes objects and is killed, and so does a node of another cluster. An object
// takes another's place: one of its own cluster or the other's, a newer or an older one. A
// node on what is left gives out no record that is not what was written there, and says which
// object is damaged; a log or a snapshot that is not what it was keeps it from starting.
// Changed bits and lengths are tested by e2e_damage_test.go.

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestS14ExchangedObjects(t *testing.T) {
	dir, objects := damagedTopic(t, 6)
	elsewhere, others := damagedTopic(t, 1)
	contents := make([][]byte, len(objects))
	for n, object := range objects {
		contents[n] = contentsOf(t, dir, object)
	}
	put := func(n int, body []byte) {
		damage(t, filepath.Join(dir, objects[n]), func([]byte) []byte { return bytes.Clone(body) })
	}
	put(1, contents[2]) // swapped
	put(2, contents[1])
	put(4, contents[0])                         // an older one, replayed
	put(5, contentsOf(t, elsewhere, others[0])) // the same records, of another cluster
	p := startDev(t, dir)
	for partition := range 2 {
		for n, damaged := range []bool{false, true, true, false, true, true} {
			readDamaged(t, p, partition, n, objects[n], damaged)
		}
	}
}

func contentsOf(t *testing.T, dir, key string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(dir, key))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestS14ExchangedLog(t *testing.T) {
	elsewhere, _ := damagedTopic(t, 3)                // genesis, claim, topic, three commits
	for name, put := range map[string]map[int]string{ // slot -> slot whose entry it gets
		"swapped":                    {4: "4 5", 5: "5 4"},
		"an older entry, replayed":   {6: "6 5"},
		"an older one in the middle": {5: "5 4"},
		"another cluster's entry":    {5: "other"},
		"another cluster's last":     {6: "other"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := damagedTopic(t, 3)
			sound := map[int][]byte{}
			for slot := 1; slot <= 6; slot++ {
				sound[slot] = contentsOf(t, dir, slotKey(slot))
			}
			for slot, from := range put {
				body := contentsOf(t, elsewhere, slotKey(slot))
				if from != "other" {
					var self, source int
					if _, err := fmt.Sscan(from, &self, &source); err != nil {
						t.Fatal(err)
					}
					body = sound[source]
				}
				damage(t, filepath.Join(dir, slotKey(slot)), func([]byte) []byte { return body })
			}
			p := launch(t, "dev", "--data-dir", dir, "--http", "127.0.0.1:0")
			code := p.ended(shortly)
			said := p.talk()
			named := strings.Contains(said, "damaged") || strings.Contains(said, "does not continue")
			if code != 1 || !named || !strings.Contains(said, "slot") ||
				strings.Contains(said, "foz is up") {
				t.Errorf("exit code %d:\n%s", code, said)
			}
		})
	}
}
