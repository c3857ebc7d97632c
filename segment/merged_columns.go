package segment

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/fozlog/foz"
)

// columnTable is the value of foz.columns: what readers of single columns need. Lists of lists
// have a list for each batch; in it are a number for each buffer, two for each node, one cell for
// the key and one for each typed column.
type columnTable struct {
	Columns    []columnText `json:"columns"` // typed ones
	Lengths    [][]int64    `json:"lengths"` // of buffers, as they are stored
	Nodes      [][]int64    `json:"nodes"`   // cells and nulls
	Min        [][]*string  `json:"min"`     // numbers in decimal, bytes in base64; null: no bound
	Max        [][]*string  `json:"max"`
	Mismatches [][]int      `json:"mismatches"` // by typed column
}

type columnText struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Pointer  string `json:"pointer"`
	Nullable bool   `json:"nullable"`
}

// formatColumns is the text of foz.columns.
func formatColumns(batches []MergedBatch) ([]byte, error) {
	t := columnTable{Columns: []columnText{}}
	typed := batches[0].Typed()
	for _, c := range typed {
		t.Columns = append(t.Columns, columnText{c.Name, string(c.Type), c.Pointer, c.Nullable})
	}
	for _, b := range batches {
		var lengths, nodes []int64
		for _, buffer := range b.Buffers {
			lengths = append(lengths, buffer.Length)
		}
		for _, n := range b.Nodes {
			nodes = append(nodes, n.Cells, n.Nulls)
		}
		var least, most []*string
		for i, s := range b.Stats {
			least = append(least, formatScalar(s.Min, statsType(typed, i)))
			most = append(most, formatScalar(s.Max, statsType(typed, i)))
		}
		t.Lengths, t.Nodes = append(t.Lengths, lengths), append(t.Nodes, nodes)
		t.Min, t.Max = append(t.Min, least), append(t.Max, most)
		t.Mismatches = append(t.Mismatches, append([]int{}, b.Mismatches...))
	}
	return json.Marshal(t)
}

// statsType is the type of the i-th column that has stats.
func statsType(typed []foz.SchemaColumn, i int) foz.ColumnType {
	if i == 0 {
		return foz.TypeBinary // the key
	}
	return typed[i-1].Type
}

func formatScalar(s *foz.Scalar, t foz.ColumnType) *string {
	if s == nil {
		return nil
	}
	text := ""
	switch t {
	case foz.TypeUTF8, foz.TypeBinary:
		text = base64.StdEncoding.EncodeToString(s.Bytes)
	case foz.TypeFloat64:
		text = strconv.FormatFloat(s.Float64, 'g', -1, 64)
	default:
		text = strconv.FormatInt(s.Int64, 10)
	}
	return &text
}

func parseScalar(text *string, t foz.ColumnType) (*foz.Scalar, error) {
	if text == nil {
		return nil, nil //nolint:nilnil // there is no bound, and nothing wrong
	}
	s, err := &foz.Scalar{}, error(nil)
	switch t {
	case foz.TypeUTF8, foz.TypeBinary:
		s.Bytes, err = base64.StdEncoding.DecodeString(*text)
	case foz.TypeFloat64:
		if s.Float64, err = strconv.ParseFloat(*text, 64); math.IsNaN(s.Float64) {
			err = errors.New("NaN bounds nothing")
		}
	default:
		s.Int64, err = strconv.ParseInt(*text, 10, 64)
	}
	return s, err
}

// parseLayout reads which typed columns there are.
func parseLayout(text []byte) (*layout, error) {
	var t columnTable
	if err := json.Unmarshal(text, &t); err != nil {
		return nil, err
	}
	if len(t.Columns) == 0 {
		return plainLayout, nil
	}
	if len(t.Columns) > schemaColumnsMax {
		return nil, fmt.Errorf("%d typed columns", len(t.Columns))
	}
	var typed []foz.SchemaColumn
	for _, c := range t.Columns {
		typed = append(typed, foz.SchemaColumn{
			Name: c.Name, Type: foz.ColumnType(c.Type), Pointer: c.Pointer, Nullable: c.Nullable,
		})
	}
	return newLayout(typed)
}

// parseColumns reads what is told of the batches' columns. What it allocates is in proportion to
// the text.
func parseColumns(text []byte, batches []MergedBatch, own bool) error {
	var t columnTable
	if err := json.Unmarshal(text, &t); err != nil {
		return err
	}
	n := len(batches)
	if !own || len(t.Lengths) != n || len(t.Nodes) != n || len(t.Min) != n || len(t.Max) != n ||
		len(t.Mismatches) != n {
		return errors.New("columns differ in length")
	}
	for i := range batches {
		b := &batches[i]
		b.Mismatches = t.Mismatches[i]
		err := b.setPlaces(t.Lengths[i], t.Nodes[i])
		if err == nil {
			err = b.setStats(t.Min[i], t.Max[i])
		}
		if err != nil {
			return fmt.Errorf("batch %d: %w", i, err)
		}
	}
	return nil
}

// setPlaces finds out where buffers lie: one after the other, each at a multiple of 8.
func (b *MergedBatch) setPlaces(lengths, nodes []int64) error {
	l := b.form()
	if len(lengths) != l.buffers || len(nodes) != 2*l.nodes || len(b.Mismatches) != len(l.typed) {
		return fmt.Errorf("%d buffers, %d nodes", len(lengths), len(nodes)/2)
	}
	if b.Rows > mergedBatchBytesMax { // 16 bytes of each count
		return fmt.Errorf("%d rows", b.Rows)
	}
	at, size := int64(len(l.shape.metadata)), b.ByteEnd-b.ByteStart
	for i, length := range lengths {
		if length < 0 || length > size {
			return fmt.Errorf("a buffer of %d bytes in %d", length, size)
		}
		b.Buffers[i].Offset, b.Buffers[i].Length = at, length
		at += (length + 7) &^ 7
	}
	if at != size {
		return fmt.Errorf("buffers end at %d of %d", at, size)
	}
	for i := 0; i < len(nodes); i += 2 {
		if nodes[i] < 0 || nodes[i] > math.MaxInt32 || nodes[i+1] < 0 || nodes[i+1] > nodes[i] {
			return fmt.Errorf("%d nulls in %d cells", nodes[i+1], nodes[i])
		}
		b.Nodes = append(b.Nodes, Node{nodes[i], nodes[i+1]})
	}
	for i, n := range b.Nodes {
		if column := i <= mergedHeaders || i >= mergedNodes; column && n.Cells != int64(b.Rows) {
			return fmt.Errorf("%d cells in a column of %d rows", n.Cells, b.Rows)
		}
	}
	return nil
}

// statsNode is the node of the i-th column that has stats.
func statsNode(i int) int {
	if i == 0 {
		return 2 // after offset and timestamp
	}
	return mergedNodes + i - 1
}

func (b *MergedBatch) setStats(least, most []*string) error {
	typed := b.Typed()
	if len(least) != 1+len(typed) || len(most) != len(least) {
		return fmt.Errorf("bounds of %d columns", len(least))
	}
	for i := range least {
		t := statsType(typed, i)
		low, err := parseScalar(least[i], t)
		high, err2 := parseScalar(most[i], t)
		if err = errors.Join(err, err2); err != nil {
			return fmt.Errorf("bounds of column %d: %w", i, err)
		}
		if (low == nil) != (high == nil) || low != nil && less(*high, *low, t) {
			return fmt.Errorf("bounds of column %d bound nothing", i)
		}
		nulls := int(b.Nodes[statsNode(i)].Nulls)
		b.Stats = append(b.Stats, foz.ColumnStats{Min: low, Max: high, Nulls: nulls})
	}
	return nil
}
