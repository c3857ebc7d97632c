package metadata

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
	"github.com/oklog/ulid/v2"
	"google.golang.org/protobuf/proto"
)

// Client has commands decided by whoever leads. It asks again, with the same ids, until it
// has the result of an applied entry: an answer once given is the answer for good.
type Client struct {
	replica *Replica

	mu sync.Mutex // of the entropy
}

// NewClient makes a client on a node's replica and bus.
func NewClient(r *Replica) *Client { return &Client{replica: r} }

// patience is how long one ask may go unanswered before its sender turns elsewhere.
const patience = 3*time.Second + 11*time.Millisecond

// Commit has objects committed, in order, and returns once this node has applied the
// answer, or with an error that says the outcome is unknown: ctx has ended first.
func (c *Client) Commit(ctx context.Context, commits []foz.Commit) ([]foz.CommitResult, error) {
	commands := make([]*logpb.Command, len(commits))
	for i, commit := range commits {
		id, err := idOfObject(commit.Object)
		if err != nil {
			return nil, err
		}
		commands[i] = &logpb.Command{
			Id: id, Body: &logpb.Command_Commit{Commit: commitToWire(commit)},
		}
	}
	results, err := c.do(ctx, commands)
	if err != nil {
		return nil, err
	}
	answers := make([]foz.CommitResult, len(commits))
	for i, result := range results {
		answers[i] = commitResult(&commits[i], result)
	}
	return answers, nil
}

// swapBytesMax bounds a swap on the bus: about 7,000 inputs.
const swapBytesMax = 512 << 10

// Swap has a merged object's segments put in the place of their inputs, and returns once this
// node has applied the answer. Errors: bad_request (over 512 KiB of inputs, or no object's
// key), unavailable (no node took it), or the outcome is unknown: the object is too old to tell,
// or ctx has ended first.
func (c *Client) Swap(ctx context.Context, s foz.Swap) (foz.SwapResult, error) {
	id, err := idOfObject(s.Object)
	if err != nil {
		return foz.SwapResult{}, foz.Errorf(foz.CodeBadRequest, "%w", err)
	}
	command := &logpb.Command{Id: id, Body: &logpb.Command_Swap{Swap: swapToWire(s)}}
	if size := proto.Size(command); size > swapBytesMax {
		return foz.SwapResult{}, foz.Errorf(foz.CodeBadRequest,
			"swap %s is of %d bytes, over %d", s.Object, size, swapBytesMax)
	}
	results, err := c.do(ctx, []*logpb.Command{command})
	if err != nil {
		return foz.SwapResult{}, err
	}
	return swapResult(&s, results[0])
}

// one has a single command decided. A refusal is a *foz.Error.
func (c *Client) one(ctx context.Context, command *logpb.Command) (*logpb.Result, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	command.Id = id
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	results, err := c.do(ctx, []*logpb.Command{command})
	if err != nil {
		return nil, err
	}
	if r := results[0].Refusal; r != nil {
		return nil, refusalError(r)
	}
	return results[0], nil
}

// id draws a command's id.
func (c *Client) id() (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	unique, err := ulid.New(ulid.Timestamp(time.Now()), c.replica.deps.Entropy)
	if err != nil {
		return "", fmt.Errorf("draw a command id: %w", err)
	}
	return CommandID(c.replica.HeardSlot(), unique.String()), nil
}

// commandTimeout bounds how long a command other than a commit waits for a leader.
const commandTimeout = 30*time.Second + 17*time.Millisecond

// errFailed is what a planted bug answers.
var errFailed = errors.New("definite failure")

// do asks until there are results and this node has applied them, or ctx ends. Then the
// outcome is unknown, unless every node asked has said that it took nothing, or nobody was asked
// because ctx had ended before. Of the same commands asked earlier that says nothing.
func (c *Client) do(ctx context.Context, commands []*logpb.Command) ([]*logpb.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, foz.Errorf(foz.CodeUnavailable, "not asked, nobody waits: %w", err)
	}
	m := &logpb.Ask{Commands: commands}
	var believed string // who was said to lead
	untaken := foz.CodeUnavailable
	for attempt := 0; ; attempt++ {
		node, epoch := c.target(believed, attempt)
		reply := c.ask(ctx, node, m)
		believed = ""
		switch reply.GetStatus() {
		case logpb.Reply_STATUS_DONE:
			if len(reply.Results) == len(commands) {
				return reply.Results, c.await(ctx, reply.Results)
			}
			untaken = foz.CodeAckTimeout
		case logpb.Reply_STATUS_NOT_LEADER:
			if reply.Leader != node {
				believed = reply.Leader
			}
		case logpb.Reply_STATUS_OVERLOADED:
			if untaken == foz.CodeUnavailable {
				untaken = foz.CodeOverloaded
			}
		case logpb.Reply_STATUS_MALFORMED:
			return nil, foz.Errorf(foz.CodeInternal, "node %s does not understand the command", node)
		case statusFailed:
			return nil, foz.Errorf(foz.CodeUnavailable, "%w", errFailed)
		default: // unknown, or no answer at all
			if reply == nil {
				m.SilentEpoch = max(m.SilentEpoch, epoch)
			}
			untaken = foz.CodeAckTimeout
		}
		if err := c.pause(ctx, commands[0].Id, attempt, believed != ""); err != nil {
			return nil, foz.Errorf(untaken, "no answer from metadata: %w", err)
		}
	}
}

func (c *Client) pause(ctx context.Context, id string, attempt int, directed bool) error {
	if directed && attempt < 3 {
		return ctx.Err()
	}
	return c.replica.bucket.pause(ctx, id, min(attempt, 4))
}

// await returns once this node has applied what it was told, so that whoever reads here
// next sees it.
func (c *Client) await(ctx context.Context, results []*logpb.Result) error {
	var slot uint64
	for _, r := range results {
		slot = max(slot, r.Slot)
	}
	if err := c.replica.waitApplied(ctx, slot); err != nil {
		return foz.Errorf(foz.CodeAckTimeout, "wait for slot %d: %w", slot, err)
	}
	return nil
}

// target picks whom to ask: the leader as it was named or heard, else this node if it may
// lead, else each candidate in turn.
func (c *Client) target(believed string, attempt int) (node string, epoch uint64) {
	leader := c.replica.Leader()
	if believed != "" {
		return believed, leader.ClaimSlot
	}
	if leader.ID != "" && attempt%2 == 0 {
		return leader.ID, leader.ClaimSlot
	}
	if c.replica.cfg.Candidate && attempt < 4 {
		return c.replica.cfg.Node, leader.ClaimSlot
	}
	candidates := c.replica.candidates()
	if len(candidates) == 0 {
		return c.replica.cfg.Node, leader.ClaimSlot
	}
	return candidates[attempt%len(candidates)], leader.ClaimSlot
}

func (r *Replica) candidates() (nodes []string) {
	for _, m := range r.Members() {
		if m.ID == r.cfg.Node && r.cfg.Candidate ||
			m.ID != r.cfg.Node && slices.Contains(m.Roles, RoleMetadata) {
			nodes = append(nodes, m.ID)
		}
	}
	return nodes
}

// RoleMetadata is the role of nodes that may lead.
const RoleMetadata = "metadata"

// ask sends commands to one node; nil: no answer, which says nothing.
func (c *Client) ask(ctx context.Context, node string, m *logpb.Ask) *logpb.Reply {
	data, err := proto.Marshal(m)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer, err := c.replica.deps.Bus.Request(ctx, subjectAsk+node, data)
	if err != nil {
		return nil
	}
	reply := new(logpb.Reply)
	if proto.Unmarshal(answer, reply) != nil {
		return nil
	}
	return reply
}
