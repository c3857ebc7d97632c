package ingest

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/fozlog/foz"
)

// Why an object was flushed.
const (
	flushIdle     = "idle"     // the budget had savings: nothing to wait for
	flushInterval = "interval" // its time had come
	flushSize     = "size"     // it was full, or made way for a request as big
	flushCommit   = "commit"   // its commit would have grown too large
	flushDrain    = "drain"
)

// accept puts a request into the open object, whole, or refuses it, whole.
func (i *Ingest) accept(r foz.Request) (*pending, *foz.Error) {
	size, err := i.measure(r)
	if err != nil {
		return nil, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.draining {
		return nil, foz.Errorf(foz.CodeDraining, "this node is shutting down")
	}
	if i.held+size > i.cfg.BufferBytesMax {
		return nil, foz.Errorf(foz.CodeOverloaded,
			"%d of %d bytes of this node's buffer are taken", i.held, i.cfg.BufferBytesMax)
	}
	i.held += size
	if i.open != nil {
		switch {
		case size >= i.cfg.FlushBytesMax:
			i.seal(flushSize)
		case i.open.commitBytes+commitBytesMost(r) > i.cfg.CommitBytesMax:
			i.seal(flushCommit)
		}
	}
	if i.open == nil {
		i.open = newObject()
		i.arm(i.open)
	}
	p := i.open.add(r, &i.shelf)
	if i.open.bytes >= i.cfg.FlushBytesMax {
		i.seal(flushSize)
	}
	return p, nil
}

// measure is how many bytes a request's rows take, or why it can never be taken.
func (i *Ingest) measure(r foz.Request) (int, *foz.Error) {
	size := 0
	for _, b := range r.Batches {
		if b.Rows.Len() == 0 {
			return 0, foz.Errorf(foz.CodeBadRequest, "partition %d has no records", b.Partition)
		}
		size += b.Rows.Bytes()
	}
	switch {
	case size == 0:
		return 0, foz.Errorf(foz.CodeBadRequest, "the request has no records")
	case size > i.cfg.BufferBytesMax:
		return 0, foz.Errorf(foz.CodeBatchTooLarge,
			"the records take %d bytes, this node buffers %d", size, i.cfg.BufferBytesMax)
	case len(r.Batches) > foz.PartitionsMax:
		return 0, foz.Errorf(foz.CodeBatchTooLarge,
			"the request has records for %d partitions, a topic has at most %d",
			len(r.Batches), foz.PartitionsMax)
	}
	return size, nil
}

// arm decides when an object that gets its first row is due. It is called under the mutex.
func (i *Ingest) arm(o *object) {
	wait := i.budget.draw(time.Now())
	if wait == 0 {
		o.due, o.reason = true, flushIdle
		i.work.Signal()
		return
	}
	o.timer = time.AfterFunc(wait, func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.open == o {
			o.due, o.reason = true, flushInterval
			i.work.Signal()
		}
	})
}

// seal closes the open object and queues it for upload and commit. It is called under the
// mutex, so that the order of flushes is the order of acceptance.
func (i *Ingest) seal(reason string) {
	o := i.open
	i.open = nil
	o.reason = reason
	if !o.due {
		o.timer.Stop()
		i.budget.hurry(time.Now())
	}
	o.random, o.seedErr = seeded(i.deps.Entropy)
	i.sealed = append(i.sealed, o)
	i.queue = append(i.queue, o)
	i.work.Signal()
	i.metrics.flushed(o)
}

// seeded is a source of an object's own, so that what uploads draw does not depend on the
// order in which they run.
func seeded(entropy io.Reader) (*rand.Rand, error) {
	var seed [16]byte
	if _, err := io.ReadFull(entropy, seed[:]); err != nil {
		return nil, fmt.Errorf("draw object name: %w", err)
	}
	return rand.New(rand.NewPCG(
		binary.LittleEndian.Uint64(seed[:8]), binary.LittleEndian.Uint64(seed[8:]))), nil
}

// takeSealed waits for an object to upload, in flush order; nil: drained.
//
// An object that is due is sealed only here, when an uploader is free for it: until then
// more requests may share it.
func (i *Ingest) takeSealed() *object {
	i.mu.Lock()
	defer i.mu.Unlock()
	for len(i.sealed) == 0 {
		if i.open != nil && i.open.due {
			i.seal(i.open.reason)
			break
		}
		if i.draining {
			return nil
		}
		i.work.Wait()
	}
	o := i.sealed[0]
	i.sealed[0] = nil
	i.sealed = i.sealed[1:]
	return o
}

// drain refuses new requests from now on and flushes what is buffered.
func (i *Ingest) drain() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.draining = true
	if i.open != nil {
		i.seal(flushDrain)
	}
	i.work.Broadcast()
	i.done.Broadcast()
}
