package foz_test

// The part of tidy that reads words: links, dependencies and strays. How: see tidy_test.go.

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	codeBlock   = regexp.MustCompile("(?ms)^```.*?^```|`[^`\n]+`")
	linkTarget  = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headingLine = regexp.MustCompile(`(?m)^#+ +(.+?) *$`)
	moduleRow   = regexp.MustCompile("(?m)^\\| `([^` ]+\\.[^` ]+)`")
	notInAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// checkLinks: relative links of Markdown files lead to files and headings that exist.
func checkLinks(t *tree) {
	anchors := map[string][]string{} // path of a file or folder -> anchors of its headings
	for _, f := range t.files {
		for dir := f.dir(); dir != "."; dir = path.Dir(dir) {
			anchors[dir] = nil
		}
		anchors[f.path] = anchorsOf(f)
	}
	for _, f := range t.files {
		if !strings.HasSuffix(f.path, ".md") {
			continue
		}
		for _, m := range linkTarget.FindAllStringSubmatch(codeBlock.ReplaceAllString(f.text, ""), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			name, anchor, _ := strings.Cut(m[1], "#")
			target := f.path
			if name != "" {
				target = path.Join(f.dir(), name)
			}
			known, exists := anchors[target]
			if !exists || anchor != "" && !slices.Contains(known, anchor) {
				t.report("link", f.path, m[1], "leads nowhere")
			}
		}
	}
}

// anchorsOf makes the anchors of a Markdown file's headings as the usual renderers do.
func anchorsOf(f *file) []string {
	if !strings.HasSuffix(f.path, ".md") {
		return nil
	}
	var anchors []string
	fences := regexp.MustCompile("(?ms)^```.*?^```")
	for _, m := range headingLine.FindAllStringSubmatch(fences.ReplaceAllString(f.text, ""), -1) {
		text := notInAnchor.ReplaceAllString(strings.ToLower(m[1]), "")
		anchors = append(anchors, strings.ReplaceAll(text, " ", "-"))
	}
	return anchors
}

// checkStray: nothing names one developer's machine or the hosts modules came from.
func checkStray(t *tree) {
	stray := []string{
		"/" + "work/", "/" + "root/", "proxy." + "golang.org", "pypi" + ".org",
		"registry." + "npmjs",
	}
	for _, f := range t.files {
		for _, s := range stray {
			if strings.Contains(f.text, s) {
				t.report("stray", f.path, s, "means nothing to a stranger")
			}
		}
	}
}

const dependenciesPage = "docs/adr/dependencies.md"

// checkDependencies: the page explains every module that is imported, and no other.
func checkDependencies(t *tree) {
	explained := map[string]bool{} // module -> imported by somebody
	for _, f := range t.files {
		if f.path == dependenciesPage {
			for _, m := range moduleRow.FindAllStringSubmatch(f.text, -1) {
				explained[m[1]] = false
			}
		}
	}
	for _, f := range t.goFiles(true) {
		for _, p := range f.imports() {
			covered := !foreign(p)
			for m := range explained {
				if strings.HasPrefix(p+"/", m+"/") {
					explained[m], covered = true, true
				}
			}
			if !covered {
				t.report("dependency", p, "unexplained", "%s is silent", dependenciesPage)
			}
		}
	}
	for m, imported := range explained {
		if !imported {
			t.report("dependency", m, "unused", "nobody imports it")
		}
	}
}
