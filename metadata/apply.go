package metadata

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
)

var (
	// errOutOfOrder: the entry is not for the next slot.
	errOutOfOrder = errors.New("entry is not for the next slot")
	// errMismatch: the entry does not continue this history. It cannot happen while the
	// store keeps its promises.
	errMismatch = errors.New("entry does not continue this log")
)

// draft is a State being made: the only place where one is changed.
type draft struct {
	*State
	defects Defects
}

// Apply gives the state after one more entry and, for commands, one result each. body is
// the entry's bytes. It is pure: no clock, no chance, no I/O. It may be called once on a
// State. Errors, all before anything is changed: errOutOfOrder, errMismatch, ErrNewer.
func (s *State) Apply(e *logpb.Entry, body []byte) (*State, []*logpb.Result, error) {
	return s.apply(e, body, Defects{})
}

func (s *State) apply(e *logpb.Entry, body []byte, defects Defects) (
	*State, []*logpb.Result, error,
) {
	if err := s.continues(e, defects); err != nil {
		return nil, nil, err
	}
	if s.spent.Swap(true) {
		panic(fmt.Sprintf("metadata: state at slot %d applied to twice", s.slot))
	}
	d := draft{s.successor(), defects}
	d.slot = e.Slot
	d.chain = s.chain.next(body)
	if e.GetClaim() != nil {
		d.claims = append(d.claims, e.Slot)
		return d.State, nil, nil
	}
	commands := e.GetCommands().GetCommands()
	results := make([]*logpb.Result, len(commands))
	for i, c := range commands {
		results[i] = d.command(c)
	}
	return d.State, results, nil
}

func (s *State) continues(e *logpb.Entry, defects Defects) error {
	if e.Slot != s.slot+1 {
		return fmt.Errorf("%w: slot %d after %d", errOutOfOrder, e.Slot, s.slot)
	}
	if string(e.Cluster) != string(s.cluster[:]) {
		return fmt.Errorf("%w: slot %d is of another cluster", errMismatch, e.Slot)
	}
	if string(e.Prev) != string(s.chain[:]) && !defects.ChainUnchecked {
		return fmt.Errorf("%w: chain hash at slot %d", errMismatch, e.Slot)
	}
	if c := e.GetCommands(); c != nil && c.Epoch != s.Epoch() && !defects.ChainUnchecked {
		return fmt.Errorf("%w: slot %d of epoch %d after claim %d",
			errMismatch, e.Slot, c.Epoch, s.Epoch())
	}
	for _, c := range e.GetCommands().GetCommands() {
		if f := c.GetFormat(); f != nil && f.Version > FormatVersion {
			return fmt.Errorf("%w: format %d", ErrNewer, f.Version)
		}
		if c.GetRetain() != nil && defects.RetainUnknown {
			return fmt.Errorf("%w: command %s", ErrNewer, c.Id)
		}
	}
	return nil
}

func (s *State) successor() *State {
	return &State{
		cluster: s.cluster, slot: s.slot, chain: s.chain, claims: s.claims, floor: s.floor,
		format: s.format, committed: s.committed, released: s.released, placements: s.placements,
		topics: s.topics.Copy(), names: s.names.Copy(), objects: s.objects.Copy(),
		results: s.results.Copy(), producers: s.producers.Copy(), groups: s.groups.Copy(),
	}
}

// birthOf reads the birth slot out of a command id, "<birth, 20 digits>/<rest>".
func birthOf(id string) (uint64, error) {
	digits, rest, ok := strings.Cut(id, "/")
	if !ok || len(digits) != 20 || rest == "" || len(id) > 128 {
		return 0, fmt.Errorf("command id %q is not <20 digits>/<unique>", id)
	}
	birth, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("command id %q: %w", id, err)
	}
	return birth, nil
}

// command decides one command. The order matters: below the floor nothing is known any
// more, so the answer is "unknown" even if the command was applied and its object is live;
// above it a command that was decided keeps its result.
func (d *draft) command(c *logpb.Command) *logpb.Result {
	birth, err := birthOf(c.Id)
	if err != nil {
		return d.refused(foz.Errorf(foz.CodeBadRequest, "%w", err))
	}
	switch {
	case c.GetSwap() != nil && d.defects.SwapOutsideFloor:
		return d.decide(c)
	case c.GetRetain() != nil && d.defects.UnknownSkipped:
		return &logpb.Result{}
	}
	if birth < d.floor {
		return d.refused(foz.Errorf(foz.CodeAckTimeout,
			"%s expired before it was decided on here; it may have been applied before", c.Id))
	}
	if result, ok := d.results.Get(c.Id); ok {
		return result
	}
	result := d.decide(c)
	result.Slot = d.slot
	if birth >= d.floor { // a floor may have passed its own birth
		d.results.Set(c.Id, result)
	}
	return result
}

func (d *draft) decide(c *logpb.Command) *logpb.Result {
	switch body := c.Body.(type) {
	case *logpb.Command_Commit:
		return d.commit(c.Id, body.Commit)
	case *logpb.Command_CreateTopic:
		return d.createTopic(body.CreateTopic.GetTopic())
	case *logpb.Command_AlterTopic:
		return d.alterTopic(body.AlterTopic)
	case *logpb.Command_DeleteTopic:
		return d.deleteTopic(body.DeleteTopic)
	case *logpb.Command_Trim:
		return d.trim(body.Trim)
	case *logpb.Command_Floor:
		return d.raiseFloor(body.Floor)
	case *logpb.Command_CommitOffsets:
		return d.commitOffsets(body.CommitOffsets)
	case *logpb.Command_DeleteGroup:
		return d.deleteGroup(body.DeleteGroup)
	case *logpb.Command_ForgetProducers:
		return d.forgetProducers(body.ForgetProducers)
	case *logpb.Command_Swap:
		return d.swap(c.Id, body.Swap)
	case *logpb.Command_Retain:
		return d.retain(body.Retain)
	case *logpb.Command_Format:
		d.format = max(d.format, body.Format.Version)
		return &logpb.Result{}
	case *logpb.Command_Noop:
		return &logpb.Result{}
	}
	// Invariant: DecodeEntry let no unknown body through.
	panic(fmt.Sprintf("metadata: command %s has body %T", c.Id, c.Body))
}

func (d *draft) refused(err *foz.Error) *logpb.Result {
	return &logpb.Result{Slot: d.slot, Refusal: refusal(err)}
}

func refusal(err *foz.Error) *logpb.Refusal {
	return &logpb.Refusal{Code: string(err.Code), Detail: err.Detail, Numbers: err.Numbers}
}

// raiseFloor moves the floor up and forgets every result born below it.
func (d *draft) raiseFloor(f *logpb.Floor) *logpb.Result {
	if f.Floor > d.slot {
		return d.refused(foz.Errorf(foz.CodeBadRequest,
			"floor %d lies above slot %d", f.Floor, d.slot))
	}
	d.floor = max(d.floor, f.Floor)
	var expired []string
	d.results.Scan(func(id string, _ *logpb.Result) bool {
		birth, err := birthOf(id)
		if err != nil || birth >= d.floor {
			return false // ids sort by birth
		}
		expired = append(expired, id)
		return true
	})
	for _, id := range expired {
		d.results.Delete(id)
	}
	return &logpb.Result{Offset: int64(d.floor)}
}

// ownTopic gives the draft's own copy of a topic.
func (d *draft) ownTopic(id []byte) (*topic, *foz.Error) {
	t, ok := d.topics.Get(string(id))
	if !ok {
		return nil, foz.Errorf(foz.CodeTopicNotFound, "no topic has the id %x", id)
	}
	if t.owner != d.slot {
		own := *t
		own.owner = d.slot
		own.partitions = slices.Clone(t.partitions)
		t = &own
		d.topics.Set(string(id), t)
	}
	return t, nil
}

// ownPartition gives the draft's own copy of a partition.
func (d *draft) ownPartition(id []byte, number int32) (*partition, *foz.Error) {
	t, err := d.ownTopic(id)
	if err != nil {
		return nil, err
	}
	if number < 0 || int(number) >= len(t.partitions) {
		return nil, foz.Errorf(foz.CodePartitionNotFound,
			"topic %q has partitions 0 to %d, not %d", t.Name, len(t.partitions)-1, number)
	}
	p := t.partitions[number]
	if p.owner != d.slot {
		own := *p
		own.owner = d.slot
		p = &own
		t.partitions[number] = p
	}
	return p, nil
}
