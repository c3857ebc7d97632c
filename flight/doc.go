// Package flight is the Arrow Flight face of foz: it turns Flight's calls into requests of the
// HTTP contract, and the node's own HTTP handler answers them in this process.
//
// It knows how gRPC frames messages in HTTP/2, the eight messages of Flight that it takes or
// gives, and where an Arrow stream is cut into them. It refuses to know what a record is, where
// records are, who may read them and which limits hold: all of that is the contract's, and
// nothing of it is done twice.
//
// # The language of tickets
//
// A ticket is the path and the query of a read, as in HTTP, in plain text:
//
//	/v1/topics/flights/records?from=earliest&columns=key,value
//	/v1/topics/flights/partitions/3/records?offset=0&end_offset=1000
//
// It may be written by hand. Whatever is not a read that ends by itself is refused. A
// descriptor is a path, [topic] or [topic, partition], or as its command a ticket that says
// nothing of where to begin and end.
//
// # The calls
//
//   - ListFlights gives the topics; its criteria are the beginning of their names.
//   - GetFlightInfo gives endpoints that can be read in parallel. They tile what each partition
//     holds when the info is made: every record of then is behind one endpoint, and no other.
//   - GetSchema gives the schema of those endpoints.
//   - DoGet answers a ticket. A message goes out as its bytes come: none is held.
//   - DoPut appends. Its stream becomes one produce request, or several where it is longer than
//     a request may be, cut between record batches. Each request is appended whole or not at
//     all, and each is acknowledged by a PutResult: the JSON that HTTP answers with.
//
// The header `authorization` holds the bearer token. Every other call is unimplemented.
//
// # Errors
//
// A problem becomes a gRPC status by one table (status.go), its code and its detail the message.
// An answer that breaks ends with an error, or as a reset stream where it breaks inside a
// message; never with OK.
package flight
