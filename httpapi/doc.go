// Package httpapi is the HTTP face of foz: routes, negotiation, bodies, problems, OpenAPI.
//
// It knows HTTP, JSON and NDJSON, and the contract that clients program against. It speaks
// of records as foz.Rows and of everything else through the small interfaces of deps.go. It
// refuses to know how records are stored, who assigns offsets, what an object or a log slot
// holds, and which component stands behind an interface.
//
// # A produce request
//
// The body is read as it arrives, never faster than memory for it is granted and never with
// an allocation that its declared length asked for. It is decoded whole, into one foz.Rows
// per partition, before anything is handed on: a request is refused before its first row
// enters a shared buffer, or not by this package.
//
// # A read
//
// Records are appended as text to one buffer, which goes out whenever it holds 64 KiB. What
// an answer promises in its headers is known before its first byte: a read with a limit
// collects references to the rows it will write, one without limit ends at the head as of
// the request. A stream that breaks is reset, never ended.
//
// # Errors
//
// Handlers return errors; one place (problem.go) turns them into RFC 9457 problems, with one
// table from foz.Code to status.
package httpapi
