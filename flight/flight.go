package flight

import (
	"net/http"
	"time"
)

// Config is a service's limits. Zero values are the defaults.
type Config struct {
	// PutBytesMax and PutRowsMax are how much of a DoPut's stream becomes one request of the
	// contract. Buffers may be compressed, and the contract's limit is on what comes out.
	PutBytesMax int64 // 32 MiB
	PutRowsMax  int64 // 1 Mi

	EndpointBytes int64         // about how much lies behind one endpoint, as stored; 64 MiB
	EndpointsMax  int64         // about how many a FlightInfo has, beyond one per partition; 1024
	Patience      time.Duration // for a client to begin a message, or to take one; 60 s
}

func (c Config) withDefaults() Config {
	orDefault(&c.PutBytesMax, 32<<20)
	orDefault(&c.PutRowsMax, 1<<20)
	orDefault(&c.EndpointBytes, 64<<20)
	orDefault(&c.EndpointsMax, 1024)
	orDefault(&c.Patience, time.Minute)
	return c
}

func orDefault[N int64 | time.Duration](field *N, value N) {
	if *field == 0 {
		*field = value
	}
}

// Deps are what a service works with.
type Deps struct {
	// Handler answers requests of the HTTP contract. It is called with the credentials of
	// whoever called, and breaks an answer off by a panic of http.ErrAbortHandler.
	Handler http.Handler
}

// Service answers Flight's calls, which come as requests of HTTP/2. It may be called from many
// goroutines.
type Service struct {
	Deps
	config  Config
	methods map[string]func(*call) error
}

// New makes a service. It starts nothing.
func New(d Deps, c Config) *Service {
	s := &Service{Deps: d, config: c.withDefaults()}
	s.methods = map[string]func(*call) error{
		"ListFlights":   s.listFlights,
		"GetFlightInfo": s.getFlightInfo,
		"GetSchema":     s.getSchema,
		"DoGet":         s.doGet,
		"DoPut":         s.doPut,
		"ListActions":   func(*call) error { return nil }, // there are none
	}
	return s
}
