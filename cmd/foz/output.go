package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// show prints an answer as --output says: v as JSON or YAML, or the table that fill makes.
func (a *app) show(v any, fill func(*table)) error {
	switch a.output {
	case "json":
		return a.showJSON(v)
	case "yaml":
		text, err := toYAML(v)
		if err != nil {
			return err
		}
		_, err = a.out.Write(text)
		return err
	}
	t := &table{bold: a.colored(a.outTerminal)}
	fill(t)
	_, err := a.out.Write(t.render())
	return err
}

func (a *app) showJSON(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// table is a heading and rows of cells. Columns that hold numbers only are aligned right.
type table struct {
	bold bool
	rows [][]string
	text []bool // by column: some cell is not a number
}

// row adds cells; the first row is the heading.
func (t *table) row(cells ...any) {
	line := make([]string, len(cells))
	for i, cell := range cells {
		line[i] = fmt.Sprint(cell)
		if i == len(t.text) {
			t.text = append(t.text, false)
		}
		switch cell.(type) {
		case int, int32, int64, uint64, byteCount:
		default:
			t.text[i] = t.text[i] || len(t.rows) > 0
		}
	}
	t.rows = append(t.rows, line)
}

func (t *table) render() []byte {
	widths := make([]int, len(t.text))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var out bytes.Buffer
	for n, row := range t.rows {
		line := strings.TrimRight(t.line(row, widths), " ")
		if n == 0 && t.bold {
			line = "\x1b[1m" + line + "\x1b[0m"
		}
		out.WriteString(line + "\n")
	}
	return out.Bytes()
}

func (t *table) line(row []string, widths []int) string {
	var line strings.Builder
	for i, cell := range row {
		if i > 0 {
			line.WriteString("  ")
		}
		gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if t.text[i] {
			line.WriteString(cell + gap)
		} else {
			line.WriteString(gap + cell)
		}
	}
	return line.String()
}
