package verify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/fozlog/foz"
)

// Shape is what writers send. Zero means the default.
type Shape struct {
	Partitions    int32
	RowsMax       int           // of one request; default 40
	ValueBytesMax int           // about; default 400
	Pause         time.Duration // between a writer's requests
}

// Writer sends requests one after the other and enters into the ledger what became of each.
// It belongs to one goroutine.
type Writer struct {
	service *Service
	ledger  *Ledger
	shape   Shape
	id      int32
	random  *rand.Rand

	producer string // "": plain, nothing is sent twice
	epoch    int64
	seq      int64
}

// NewWriter makes writer number id. Even ones identify themselves and send again until they
// have an answer; odd ones send everything once.
func NewWriter(s *Service, l *Ledger, shape Shape, id int32) *Writer {
	if shape.RowsMax == 0 {
		shape.RowsMax = 40
	}
	if shape.ValueBytesMax == 0 {
		shape.ValueBytesMax = 400
	}
	w := &Writer{service: s, ledger: l, shape: shape, id: id,
		random: rand.New(rand.NewPCG(uint64(id), 0x666f7a))}
	if id%2 == 0 {
		w.producer = fmt.Sprintf("verify-%d", id)
	}
	return w
}

// graceMax is how long an idempotent writer goes on asking for its last answer.
const graceMax = 60 * time.Second

// Run writes until ctx ends. The request under way then is seen through.
func (w *Writer) Run(ctx context.Context) {
	for ctx.Err() == nil {
		w.step(ctx)
		if w.shape.Pause > 0 {
			sleep(ctx, w.shape.Pause)
		}
	}
}

// step makes a request and sees it through.
func (w *Writer) step(ctx context.Context) {
	r := w.draw()
	w.ledger.begin(r)
	if w.producer == "" {
		w.once(ctx, r)
		return
	}
	w.settle(ctx, r)
}

func (w *Writer) draw() *request {
	r := &request{
		writer: w.id, form: form(w.random.IntN(int(forms))), once: w.producer != "",
		size: 1 + w.random.IntN(w.shape.ValueBytesMax), partitions: w.shape.Partitions,
	}
	rows := 1 + w.random.IntN(w.shape.RowsMax)
	if r.form == formOctets {
		rows = 1
	}
	count := 1
	if r.form.many() {
		count = 1 + w.random.IntN(min(rows, int(w.shape.Partitions)))
	}
	for _, p := range w.random.Perm(int(w.shape.Partitions))[:count] {
		r.parts = append(r.parts, part{partition: int32(p), rows: int32(rows / count), base: -1})
	}
	slices.SortFunc(r.parts, func(a, b part) int { return int(a.partition - b.partition) })
	return r
}

// once sends a request once.
func (w *Writer) once(ctx context.Context, r *request) {
	r.attempts = 1
	a, err := w.service.produce(context.WithoutCancel(ctx), r, nil)
	if err == nil {
		w.acknowledged(r, a)
		return
	}
	w.ledger.failed(err)
	p, isProblem := errors.AsType[*problem](err)
	switch {
	case errors.Is(err, errUnsent):
		w.ledger.settle(r, refused, false)
	case isProblem && p.SideEffects == "none":
		if !p.Retryable {
			w.ledger.findings.add(Refused, "%s: %v", r, p)
		}
		w.ledger.settle(r, refused, false)
	default:
		w.ledger.settle(r, unknown, false)
	}
	sleep(ctx, w.breath())
}

// settle sends a request under its sequence until it has an answer.
func (w *Writer) settle(ctx context.Context, r *request) {
	header := http.Header{}
	header.Set("Producer-Id", w.producer)
	header.Set("Producer-Epoch", strconv.FormatInt(w.epoch, 10))
	header.Set("Producer-Seq", strconv.FormatInt(w.seq, 10))
	lasting := context.WithoutCancel(ctx)
	stop := time.Now().Add(graceMax)
	open := false // an attempt may have had its effect
	for r.attempts = 1; ; r.attempts++ {
		a, err := w.service.produce(lasting, r, header)
		if err == nil {
			w.seq++
			w.acknowledged(r, a)
			return
		}
		w.ledger.failed(err)
		p, isProblem := errors.AsType[*problem](err)
		definite := errors.Is(err, errUnsent) || isProblem && p.SideEffects == "none"
		open = open || !definite
		if isProblem && (!p.Retryable || p.Code == foz.CodeSequenceGap) {
			// It is alone under its name, and sends in order: nothing is to be refused.
			w.ledger.findings.add(Refused, "%s, sequence %d, attempt %d: %v", r, w.seq, r.attempts, p)
			break
		}
		if ctx.Err() == nil {
			stop = time.Now().Add(graceMax)
		} else if time.Now().After(stop) {
			break
		}
		sleep(lasting, w.breath())
	}
	w.ledger.settle(r, map[bool]outcome{true: unknown, false: refused}[open], false)
	w.epoch, w.seq = w.epoch+1, 0
}

// acknowledged checks an ack against its request and enters it.
func (w *Writer) acknowledged(r *request, a ack) {
	sane := len(a.Partitions) == len(r.parts) && (!a.Duplicate || r.attempts > 1)
	for i := range r.parts {
		if !sane {
			break
		}
		p, got := &r.parts[i], a.Partitions[i]
		sane = got.Partition == p.partition && got.End-got.Start == int64(p.rows) && got.Start >= 0
		p.base = got.Start
	}
	if !sane {
		w.ledger.findings.add(Refused, "%s: %v was acknowledged as %+v", r, r.parts, a)
		w.ledger.settle(r, unknown, false)
		return
	}
	w.ledger.settle(r, acked, a.Duplicate)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// breath is a pause before something is sent after a failure.
func (w *Writer) breath() time.Duration {
	return 10*time.Millisecond + time.Duration(w.random.Int64N(int64(20*time.Millisecond)))
}
