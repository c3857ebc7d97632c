package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fozlog/foz"
	"github.com/klauspost/compress/zstd"
)

// Config is an API's limits. Zero values are the defaults.
type Config struct {
	BodyBytesMax     int           // one body, decoded; 64 MiB
	RecordsMax       int           // of one produce request; 4 Mi (a row takes 23 bytes: 92 MiB)
	DecodeBytesMax   int64         // bodies and rows of all requests being decoded; 256 MiB
	CollectBytesMax  int64         // rows held for all answers that have a limit; 256 MiB
	PartitionsMax    int32         // of one topic; 10,000
	LimitMax         int           // records of one answer that has a limit; 1 Mi
	AnswerBytesMax   int64         // of one answer that has max_bytes; 64 MiB
	AnswerBytes      int64         // of a JSON answer that gives no max_bytes; 16 MiB
	FollowersMax     int64         // event streams at once; 10,000
	ZstdMax          int           // zstd decoders at once, each up to 8 MiB; 2 per CPU
	BodyRateMin      int64         // bytes per second below which a body is given up; 1 KiB
	BodyGrace        time.Duration // before the rate is looked at; 15 s
	WriteTimeout     time.Duration // for a client to take 64 KiB; 60 s
	ProduceTimeout   time.Duration // then the answer is ack_timeout; 30 s
	SlotTimeout      time.Duration // how long Foz-Min-Slot is waited for; 10 s
	WaitMax          time.Duration // of a long poll; 60 s
	CommentInterval  time.Duration // between comments of a silent event stream; 15 s
	RetryAfter       time.Duration // what 429 and 503 advise, in whole seconds; 1 s
	ControlBytesMax  int           // body of a request that is not a produce; 1 MiB
	InvalidErrorsMax int           // invalid records told of in one problem; 16
}

func (c Config) withDefaults() Config {
	orDefault(&c.BodyBytesMax, foz.BodyBytesMax)
	orDefault(&c.RecordsMax, 4<<20)
	orDefault(&c.DecodeBytesMax, 256<<20)
	orDefault(&c.CollectBytesMax, 256<<20)
	orDefault(&c.PartitionsMax, foz.PartitionsMax)
	orDefault(&c.LimitMax, 1<<20)
	orDefault(&c.AnswerBytesMax, 64<<20)
	orDefault(&c.AnswerBytes, 16<<20)
	orDefault(&c.FollowersMax, 10_000)
	orDefault(&c.ZstdMax, 2*runtime.GOMAXPROCS(0))
	orDefault(&c.BodyRateMin, 1<<10)
	orDefault(&c.BodyGrace, 15*time.Second)
	orDefault(&c.WriteTimeout, time.Minute)
	orDefault(&c.ProduceTimeout, 30*time.Second)
	orDefault(&c.SlotTimeout, 10*time.Second)
	orDefault(&c.WaitMax, time.Minute)
	orDefault(&c.CommentInterval, 15*time.Second)
	orDefault(&c.RetryAfter, time.Second)
	orDefault(&c.ControlBytesMax, 1<<20)
	orDefault(&c.InvalidErrorsMax, 16)
	return c
}

func orDefault[N int | int32 | int64 | time.Duration](field *N, value N) {
	if *field == 0 {
		*field = value
	}
}

// API answers requests. Its Handler may be called from many goroutines.
type API struct {
	Deps
	config  Config
	metrics *metrics
	routes  []route

	decoding  budget             // bytes of requests being decoded
	collected budget             // bytes of rows held for answers
	followers budget             // event streams
	zstd      chan *zstd.Decoder // those not in use; nil: not made yet
	buffers   buffers
	rows      sync.Pool          // of *foz.Rows
	turns     [256]atomic.Uint32 // of keyless requests, by the last byte of their topic's id

	drained context.Context // ends with Drain
	drain   context.CancelFunc
}

// New makes an API. It starts nothing.
func New(d Deps, c Config) *API {
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.Ready == nil {
		d.Ready = func() error { return nil }
	}
	a := &API{Deps: d, config: c.withDefaults(), metrics: newMetrics(d.Registerer)}
	a.decoding.max = a.config.DecodeBytesMax
	a.collected.max = a.config.CollectBytesMax
	a.followers.max = a.config.FollowersMax
	a.zstd = make(chan *zstd.Decoder, a.config.ZstdMax)
	for range a.config.ZstdMax {
		a.zstd <- nil
	}
	a.drained, a.drain = context.WithCancel(context.Background())
	a.routes = a.table()
	return a
}

// Drain makes the node refuse what is new and end what waits: produce requests are answered
// `draining`, long polls at once, event streams with an error event. Requests under way are
// finished. It cannot be undone; call it before http.Server.Shutdown.
func (a *API) Drain() { a.drain() }

func (a *API) draining() error {
	if a.drained.Err() == nil {
		return nil
	}
	return foz.Errorf(foz.CodeDraining, "this node is shutting down: ask another")
}

// untilDrained gives a context that also ends when the node drains.
func (a *API) untilDrained(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(a.drained, cancel)
	return ctx, func() { stop(); cancel() }
}

// NewServer makes a server for the handler that gives slow and large requests little to hold:
// headers have 10 s and 64 KiB, idle connections two minutes. Bodies and answers have no
// deadline here, because streams have none; the handler sets theirs as bytes move.
func NewServer(addr string, h http.Handler) *http.Server {
	return &http.Server{
		Addr:              addr,
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 250},
	}
}
