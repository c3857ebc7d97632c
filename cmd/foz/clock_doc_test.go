package main

// Where a node reads its host's date is written down.
//
// How: what a node is built of is searched for expressions that make a date of a clock; the
// files that have one are compared, both ways, with the table of docs/reliability.md.

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// hostDate finds dates of the host: what time.Now gives is monotonic until it is turned into a
// number, a ULID, or compared with a date from outside.
var hostDate = regexp.MustCompile(
	`time\.Now\(\)\.Unix|\bnow\.Unix|ulid\.(Now\(|Timestamp\(time)|Authenticate\(r, time\.Now`)

func TestClocksNamed(t *testing.T) {
	root := filepath.Join("..", "..")
	page, err := os.ReadFile(filepath.Join(root, "docs", "reliability.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Clocks\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var named []string
	for _, found := range regexp.MustCompile("`([a-z/_]+\\.go)`").FindAllStringSubmatch(section, -1) {
		named = append(named, found[1])
	}
	var dated []string
	for _, room := range []string{"bus", "compactor", "httpapi", "ingest", "metadata", "objectstore",
		"reader", "segment", filepath.Join("cmd", "foz", "node.go")} {
		below := filepath.Join(root, room)
		err := filepath.WalkDir(below, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if hostDate.Match(text) {
				name, _ := filepath.Rel(root, path)
				dated = append(dated, filepath.ToSlash(name))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(named)
	slices.Sort(dated)
	if !slices.Equal(named, dated) {
		t.Errorf("docs/reliability.md names %v\nthe host's date is read in %v", named, dated)
	}
}
