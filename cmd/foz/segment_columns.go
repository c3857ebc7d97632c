package main

import (
	"cmp"
	"encoding/base64"
	"strconv"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/segment"
)

// columnLine is what a footer tells of a column of a record batch. Bounds are as JSON would have
// the cells: of bytes in base64, of text perhaps shorter than the cells.
type columnLine struct {
	Name       string  `json:"name"`
	Type       string  `json:"type,omitempty"`    // of a typed one
	Pointer    string  `json:"pointer,omitempty"` // of a typed one
	Bytes      int64   `json:"bytes"`             // as they are stored
	Nulls      int     `json:"nulls"`
	Mismatches int     `json:"mismatches"`
	Min        *string `json:"min,omitempty"`
	Max        *string `json:"max,omitempty"`
}

func columnLines(b *segment.MergedBatch) (lines []columnLine) {
	for _, c := range b.Columns() {
		lines = append(lines, columnLine{
			Name: c.Name, Type: string(c.Type), Pointer: c.Pointer, Bytes: c.Bytes,
			Nulls: c.Stats.Nulls, Mismatches: c.Mismatches,
			Min: boundText(c.Stats.Min, c.Type), Max: boundText(c.Stats.Max, c.Type),
		})
	}
	return lines
}

func boundText(s *foz.Scalar, t foz.ColumnType) *string {
	if s == nil {
		return nil
	}
	switch t {
	case foz.TypeBool:
		return new(strconv.FormatBool(s.Int64 != 0))
	case foz.TypeInt64:
		return new(strconv.FormatInt(s.Int64, 10))
	case foz.TypeFloat64:
		return new(strconv.FormatFloat(s.Float64, 'g', -1, 64))
	case foz.TypeTimestamp:
		return new(clock(s.Int64))
	case foz.TypeDate32:
		return new(time.Unix(s.Int64*24*60*60, 0).UTC().Format(time.DateOnly))
	case foz.TypeUTF8:
		return new(string(s.Bytes))
	}
	return new(base64.StdEncoding.EncodeToString(s.Bytes)) // a key's, too
}

// columnRows are the columns of all batches together: bounds are by batch, which JSON has.
func columnRows(out *table, batches []segment.MergedBatch) {
	var all []columnLine
	for i := range batches {
		lines := columnLines(&batches[i])
		if i == 0 {
			all = lines
			continue
		}
		for at, c := range lines {
			all[at].Bytes += c.Bytes
			all[at].Nulls += c.Nulls
			all[at].Mismatches += c.Mismatches
		}
	}
	if all == nil {
		return
	}
	out.row("COLUMN", "TYPE", "POINTER", "BYTES", "NULLS", "MISMATCHES")
	for _, c := range all {
		typ, pointer := cmp.Or(c.Type, "-"), cmp.Or(c.Pointer, "-")
		out.row(c.Name, typ, pointer, byteCount(c.Bytes), c.Nulls, c.Mismatches)
	}
}
