package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/segment"
)

// Pauses between the attempts of one upload: doubled from the first to the last, each drawn
// from its upper half.
const (
	pauseFirst = 50 * time.Millisecond
	pauseLast  = 2 * time.Second
)

// errForeign: the object's key is taken by other bytes.
var errForeign = errors.New("key holds another object")

// uploadNext waits for a sealed object and uploads it; false: drained. The encoder is its
// caller's own.
func (i *Ingest) uploadNext(ctx context.Context, encoder *segment.Encoder) bool {
	o := i.takeSealed()
	if o == nil {
		return false
	}
	if err := i.upload(ctx, o, encoder); err != nil {
		i.deps.Logger.Warn("upload failed", "object", o.key, "requests", len(o.pending), "error", err)
	}
	return true
}

// upload encodes an object and creates it in the store, until it is there or past its
// deadline. When it returns, the object has ended one way or the other: its commit may be
// sent, or never will be and its requests have been answered.
func (i *Ingest) upload(ctx context.Context, o *object, encoder *segment.Encoder) error {
	if err := i.encode(o, encoder); err != nil {
		i.uploadFailed(o, foz.Errorf(foz.CodeInternal, "encode object: %w", err))
		return err
	}
	// No two uploads end at one instant: the simulator wants their order decided.
	deadline := i.cfg.UploadDeadline + time.Duration(o.random.Int64N(int64(time.Millisecond)))
	ctx, cancel := context.WithTimeout(objectstore.WithCause(ctx, "upload"), deadline)
	defer cancel()
	// A Create that does not heed its context holds its own uploader, but not the queue.
	late := foz.Errorf(foz.CodeUnavailable, "the object store did not take the records in time")
	stop := context.AfterFunc(ctx, func() { i.end(o, late) })
	defer stop()
	begun := time.Now()
	err := i.create(ctx, o)
	i.metrics.uploaded(time.Since(begun))
	switch {
	case err == nil:
		i.uploadDone(o)
	case errors.Is(err, objectstore.ErrFull):
		i.uploadFailed(o, foz.Errorf(foz.CodeUnavailable, "the object store is full: %w", err))
	case errors.Is(err, objectstore.ErrKey):
		i.uploadFailed(o, foz.Errorf(foz.CodeStorage, "%w", err))
	default:
		i.uploadFailed(o, late)
	}
	return err
}

// encode makes the object's bytes and gives its rows' buffers back.
func (i *Ingest) encode(o *object, encoder *segment.Encoder) error {
	if o.seedErr != nil {
		return o.seedErr
	}
	parts := o.arrange()
	body, segments, err := encoder.Encode(i.newBody(o), parts, o.requests)
	if err != nil {
		return err
	}
	o.body, o.segments = body, segments
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, p := range parts {
		i.shelf.putRows(p.Rows)
	}
	o.parts, o.index = nil, nil
	return nil
}

// newBody is where an object will be encoded: nil lets segment make a buffer of just the
// size that it needs, which is right for small objects.
func (i *Ingest) newBody(o *object) []byte {
	size := o.bytes + o.commitBytes + 1024*len(o.parts) + 4096 // padding, message headers, footer
	if size < i.shelf.bodyBytesMin {
		return nil
	}
	i.mu.Lock()
	body := i.shelf.takeBody(size)
	i.mu.Unlock()
	if body == nil { // with room for objects of other sizes
		body = make([]byte, 0, size+i.cfg.FlushBytesMax/8)
	}
	return body
}

// create puts the object into the store: under one key, with the same bytes, as often as it
// takes. Its outcome may stay unknown only by failing: what is never committed has no
// effect, so the failure is definite whatever the store has done.
//
// Crash here, before or after the object is durable: an object that no entry names, swept
// once the floor has passed its birth. The clients see an unknown outcome.
func (i *Ingest) create(ctx context.Context, o *object) error {
	o.key = i.newKey(o.random)
	o.reusable = true
	for pause := pauseFirst; ; pause = min(2*pause, pauseLast) {
		date, err := i.attempt(ctx, o)
		switch {
		case err == nil:
			i.dated(o, date)
			return nil
		case errors.Is(err, objectstore.ErrExists):
			if err = i.readBack(ctx, o); err == nil && i.estimated(o) {
				return nil
			}
			if err == nil || errors.Is(err, errForeign) {
				o.key = i.newKey(o.random)
			}
		case errors.Is(err, objectstore.ErrFull), errors.Is(err, objectstore.ErrKey):
			return err
		}
		o.reusable = false
		i.metrics.retries.Inc()
		if !sleep(ctx, pause/2+time.Duration(o.random.Int64N(int64(pause/2)))) {
			return fmt.Errorf("upload %s: %w", o.key, errors.Join(err, ctx.Err()))
		}
	}
}

func (i *Ingest) attempt(ctx context.Context, o *object) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, i.cfg.AttemptDeadline)
	defer cancel()
	return i.deps.Store.Create(ctx, o.key, o.body)
}

// readBack says whether the object that has o's key is o: nil, errForeign, or unknown.
//
// It could hardly be another, the key has 80 random bits. But a commit that names foreign
// bytes would lose records that were acknowledged, a process cloned with its entropy can
// make it so, and the GET is paid only after an attempt whose answer was lost.
func (i *Ingest) readBack(ctx context.Context, o *object) error {
	ctx, cancel := context.WithTimeout(ctx, i.cfg.AttemptDeadline)
	defer cancel()
	there, err := i.deps.Store.Get(ctx, o.key, 0, int64(len(o.body))+1)
	if err != nil {
		return err
	}
	if !bytes.Equal(there, o.body) {
		return fmt.Errorf("read back %s: %w", o.key, errForeign)
	}
	return nil
}

// newKey names an object: the slot under which it is born, then a ULID. The slot is what
// this node has heard of when the upload begins; it need not be true (see the floor).
func (i *Ingest) newKey(random *rand.Rand) string {
	birth := i.deps.Slots.HeardSlot()
	i.mu.Lock()
	birth = max(birth, i.answered)
	i.mu.Unlock()
	var id ulid.ULID
	_ = id.SetTime(ulid.Timestamp(time.Now())) // fails in the year 10889
	high, low := random.Uint64(), random.Uint64()
	for n := range 8 {
		id[6+n] = byte(high >> (8 * n))
	}
	id[14], id[15] = byte(low), byte(low>>8)
	return foz.ObjectKey(birth, id.String())
}

// uploadDone makes an object's commit ready to be sent.
//
// The cache has it before that: a reader at this node may hear of the commit before we do.
func (i *Ingest) uploadDone(o *object) {
	if i.deps.Cache != nil {
		i.share(o)
	}
	if !i.end(o, nil) {
		i.release(o) // it came too late
	}
}

// share gives an object's bytes to the cache.
func (i *Ingest) share(o *object) {
	body := o.body
	if !o.reusable { // a store's client may still be sending it: nobody must write there again
		body = bytes.Clone(body)
	}
	spare := i.deps.Cache.Put(o.key, body)
	o.body, o.reusable = nil, false
	i.mu.Lock()
	defer i.mu.Unlock()
	i.shelf.putBody(spare)
}

func (i *Ingest) uploadFailed(o *object, err *foz.Error) {
	o.reusable = false // a store's client may still be sending it
	i.release(o)       // first: whoever is answered finds room
	i.end(o, err)
}

// end decides how an object's upload ended, once: false says that it was decided before.
func (i *Ingest) end(o *object, err *foz.Error) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if o.state != uploading {
		return false
	}
	i.trouble.Store(err)
	if o.state = uploaded; err != nil {
		o.state = failed
		o.fail(err)
	}
	i.done.Signal()
	return true
}

// release gives an object's bytes back: it has been answered and nobody reads its buffers.
func (i *Ingest) release(o *object) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.held -= o.bytes
	if o.reusable {
		i.shelf.putBody(o.body)
	}
	o.body = nil
}

// storeClock tells the store's time between its answers: the date it gave last, and what
// has passed since on this process's monotonic clock, which no setting of the host's clock
// moves. Retention ages by these dates: a stale one would expire records early.
type storeClock struct {
	date, at time.Time
}

func (i *Ingest) dated(o *object, date time.Time) {
	o.appended = date.UnixMilli()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.clock = storeClock{date, time.Now()}
}

// estimated dates an object whose Create succeeded without telling when; false if the store
// has told this process no date at all yet. Then the object is uploaded once more under a
// new key, which is safe because its commit has not been sent.
func (i *Ingest) estimated(o *object) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.clock.date.IsZero() {
		return false
	}
	o.appended = i.clock.date.Add(time.Since(i.clock.at)).UnixMilli()
	return true
}

// sleep waits; false says that ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}
