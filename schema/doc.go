// Package schema knows what a typed topic's values hold: whether a schema makes sense, which
// cells a JSON value has, and which schema some values suggest. It refuses to know how cells
// are stored, and where values come from.
//
// # From a value to a cell
//
// A column's pointer (RFC 6901) names a place in the JSON value; of two members of one name, the
// last is meant. What is there becomes a cell:
//
//	bool          true, false
//	int64         a number that is an integer in range, however written: 3, 3.0 and 0.3e1 are 3
//	float64       any number; the nearest float64, if that is finite
//	utf8          a string, unescaped; half a surrogate pair is not Unicode text
//	binary        a string of base64 (RFC 4648, section 4, with padding, without line ends)
//	timestamp_ms  a string of RFC 3339, rounded down; or an integer: milliseconds since 1970
//	date32        a string like 2001-02-03; or an integer: days since 1970
//
// Anything else there, and over 64 KiB of bytes, mismatches: the cell is null. Nothing there, and
// null there, are a null cell that mismatches only where the column is not nullable. A value that
// is not JSON (RFC 8259, strictly, in UTF-8, at most 256 deep) mismatches in every column. A
// tombstone has null cells and mismatches nowhere.
//
// Whether a value is JSON, and what a column's cell is, does not depend on which other columns
// are asked for: what is stored and what is made up on reading are the same.
package schema
