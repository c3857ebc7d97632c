package foz

// Rows is a run of records in columns, laid out as Arrow lays them out, so that they can
// be encoded and decoded without touching single records. The zero value is empty and ready
// to use. Reset keeps the buffers.
type Rows struct {
	Timestamps []int64 // milliseconds
	Keys       Column
	Values     Column
	Headers    Column // each cell as AppendHeaders wrote it, or null
}

// Column is a column of nullable byte strings.
type Column struct {
	Ends  []int32 // Ends[i] is where cell i ends in Data; it begins where cell i-1 ends
	Data  []byte
	Nulls []bool // nil while no cell is null; else one per cell
}

// Len is the number of rows.
func (r *Rows) Len() int { return len(r.Timestamps) }

// Bytes is the memory the rows' contents take: what back-pressure counts.
func (r *Rows) Bytes() int {
	return 8*len(r.Timestamps) + r.Keys.bytes() + r.Values.bytes() + r.Headers.bytes()
}

// Append adds a record. A nil key, value or headers is a null.
func (r *Rows) Append(timestamp int64, key, value, headers []byte) {
	r.Timestamps = append(r.Timestamps, timestamp)
	r.Keys.Append(key)
	r.Values.Append(value)
	r.Headers.Append(headers)
}

// AppendRows adds rows [from, to) of another.
func (r *Rows) AppendRows(o *Rows, from, to int) {
	r.Timestamps = append(r.Timestamps, o.Timestamps[from:to]...)
	r.Keys.AppendCells(&o.Keys, from, to)
	r.Values.AppendCells(&o.Values, from, to)
	r.Headers.AppendCells(&o.Headers, from, to)
}

// Reset empties the rows and keeps their buffers.
func (r *Rows) Reset() {
	r.Timestamps = r.Timestamps[:0]
	r.Keys.reset()
	r.Values.reset()
	r.Headers.reset()
}

// Record gives row i as the record at offset. Its slices alias the rows' buffers.
func (r *Rows) Record(i int, offset int64) (Record, error) {
	headers, err := ParseHeaders(r.Headers.Cell(i))
	return Record{
		Offset:    offset,
		Timestamp: r.Timestamps[i],
		Key:       r.Keys.Cell(i),
		Value:     r.Values.Cell(i),
		Headers:   headers,
	}, err
}

// Len is the number of cells.
func (c *Column) Len() int { return len(c.Ends) }

// Cell is cell i, nil if it is null. It aliases Data.
func (c *Column) Cell(i int) []byte {
	if c.Nulls != nil && c.Nulls[i] {
		return nil
	}
	cell := c.Data[c.start(i):c.Ends[i]:c.Ends[i]]
	if cell == nil { // Data is nil while all cells are empty
		return []byte{}
	}
	return cell
}

// Append adds a cell; nil adds a null.
func (c *Column) Append(cell []byte) {
	if cell == nil && c.Nulls == nil {
		c.Nulls = make([]bool, len(c.Ends), cap(c.Ends)+1)
	}
	if c.Nulls != nil {
		c.Nulls = append(c.Nulls, cell == nil)
	}
	c.Data = append(c.Data, cell...)
	c.Ends = append(c.Ends, int32(len(c.Data)))
}

func (c *Column) start(i int) int32 {
	if i == 0 {
		return 0
	}
	return c.Ends[i-1]
}

// AppendCells adds cells [from, to) of another.
func (c *Column) AppendCells(o *Column, from, to int) {
	if from == to {
		return
	}
	if o.Nulls != nil && c.Nulls == nil {
		c.Nulls = make([]bool, len(c.Ends), len(c.Ends)+to-from)
	}
	switch {
	case o.Nulls != nil:
		c.Nulls = append(c.Nulls, o.Nulls[from:to]...)
	case c.Nulls != nil:
		c.Nulls = append(c.Nulls, make([]bool, to-from)...)
	}
	first := o.start(from)
	shift := int32(len(c.Data)) - first
	c.Data = append(c.Data, o.Data[first:o.Ends[to-1]]...)
	for _, end := range o.Ends[from:to] {
		c.Ends = append(c.Ends, end+shift)
	}
}

func (c *Column) bytes() int { return len(c.Data) + 4*len(c.Ends) + len(c.Nulls) }

func (c *Column) reset() {
	c.Ends, c.Data = c.Ends[:0], c.Data[:0]
	if c.Nulls != nil {
		c.Nulls = c.Nulls[:0]
	}
}
