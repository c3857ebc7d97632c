package metadata

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
	"google.golang.org/protobuf/proto"
)

// Subjects on the bus; the bus itself keeps clusters apart.
const (
	subjectNews = "news"
	subjectAsk  = "ask." // + node id
)

const (
	beatInterval   = 250 * time.Millisecond
	memberLifetime = 5 * time.Second
	// How far ahead of this node another may say it is: a birth taken from a made-up slot
	// would never come to lie below the floor.
	leapMax = 1 << 20
	// An append unresolved for so long makes its leader fall silent, so that another node
	// takes over.
	silentAfter = 2 * time.Second
	// An ask is answered within this, if only with "unknown".
	askTimeout = 10*time.Second + 37*time.Millisecond
)

// listen joins the bus: news comes into the inbox, asks are served.
func (r *Replica) listen() (stop func(), err error) {
	stopNews, err := r.deps.Bus.Subscribe(subjectNews, r.hear)
	if err != nil {
		return nil, err
	}
	stopAsks, err := r.deps.Bus.Serve(subjectAsk+r.cfg.Node, r.serve)
	if err != nil {
		stopNews()
		return nil, err
	}
	return func() { stopAsks(); stopNews() }, nil
}

func (r *Replica) hear(data []byte) {
	news := new(logpb.News)
	if proto.Unmarshal(data, news) != nil {
		return // whoever sent it, it is no news
	}
	if len(news.Entry) > 0 {
		r.inbox.entry(news.Entry)
	}
	b := news.Beat
	if b == nil || b.Node == r.cfg.Node {
		return
	}
	b.Applied = min(b.Applied, r.slot()+leapMax)
	r.heard.beat(b, time.Now())
	if b.Applied > r.slot() || b.Epoch > r.state.Load().Epoch() {
		r.inbox.beat(b.Applied, b.Epoch)
	}
}

// serve answers one ask.
func (r *Replica) serve(ctx context.Context, data []byte) []byte {
	reply := r.ask(ctx, data)
	message, err := proto.Marshal(reply)
	if err != nil {
		return nil
	}
	return message
}

func (r *Replica) ask(ctx context.Context, data []byte) *logpb.Reply {
	m := new(logpb.Ask)
	if proto.Unmarshal(data, m) != nil || rejectUnknown(m.ProtoReflect()) != nil ||
		len(m.Commands) == 0 {
		return &logpb.Reply{Status: logpb.Reply_STATUS_MALFORMED}
	}
	for _, c := range m.Commands {
		// An entry that this node could not apply itself would halt every node for good.
		if c.Body == nil || c.GetFormat().GetVersion() > FormatVersion {
			return &logpb.Reply{Status: logpb.Reply_STATUS_MALFORMED}
		}
	}
	if r.full(m.Commands) {
		return &logpb.Reply{Status: logpb.Reply_STATUS_OVERLOADED}
	}
	a := &ask{
		commands: m.Commands, silentEpoch: m.SilentEpoch, size: len(data),
		reply: make(chan *logpb.Reply, 1),
	}
	if !r.inbox.ask(a) {
		return &logpb.Reply{Status: logpb.Reply_STATUS_OVERLOADED}
	}
	timer := time.NewTimer(askTimeout)
	defer timer.Stop()
	select {
	case reply := <-a.reply:
		return reply
	case <-timer.C:
	case <-ctx.Done():
	case <-r.done:
	}
	return &logpb.Reply{Status: logpb.Reply_STATUS_UNKNOWN}
}

// full: the state is as large as it may get, and a command would make it grow. Commands that
// release always pass.
func (r *Replica) full(commands []*logpb.Command) bool {
	if r.state.Load().Size() < r.cfg.StateMax {
		return false
	}
	for _, c := range commands {
		switch c.Body.(type) {
		case *logpb.Command_Commit, *logpb.Command_CreateTopic, *logpb.Command_AlterTopic,
			*logpb.Command_CommitOffsets:
			return true
		}
	}
	return false
}

// beats tells the others, again and again, that this node is there and how far it is.
func (r *Replica) beats(ctx context.Context) error {
	jitter := time.Duration(r.cfg.Seed%1000) * 20 * time.Microsecond
	for sleep(ctx, beatInterval+jitter) == nil {
		r.tell()
	}
	return nil
}

func (r *Replica) tell() {
	b := &logpb.Beat{
		Node: r.cfg.Node, Http: r.cfg.HTTP, Roles: r.cfg.Roles,
		Applied: r.slot(), Epoch: r.leads.Load(),
	}
	since := r.since.Load()
	if since != 0 && time.Since(time.Unix(0, since)) > silentAfter {
		b.Epoch = 0
	}
	message, err := proto.Marshal(&logpb.News{Beat: b})
	if err == nil {
		err = r.deps.Bus.Publish(subjectNews, message)
	}
	if err != nil {
		r.deps.Logger.Debug("send heartbeat", "err", err)
	}
}

// heard is what the other nodes said of themselves lately.
type heard struct {
	silence time.Duration // after which a leader counts as gone

	mu    sync.Mutex
	beats map[string]heardBeat // by node
	top   uint64               // highest slot spoken of
}

type heardBeat struct {
	*logpb.Beat
	at time.Time
}

func newHeard(cfg Config) *heard {
	silence := cfg.Silence
	if silence == 0 {
		silence = time.Second
	}
	return &heard{silence: silence, beats: map[string]heardBeat{}}
}

// membersMax bounds what a stranger on the bus can make a node remember.
const membersMax = 10_000

func (h *heard) beat(b *logpb.Beat, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.top = max(h.top, b.Applied)
	if _, known := h.beats[b.Node]; known || len(h.beats) < membersMax {
		h.beats[b.Node] = heardBeat{b, now}
	}
	for node, old := range h.beats {
		if now.Sub(old.at) > memberLifetime {
			delete(h.beats, node)
		}
	}
}

func (h *heard) slot() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.top
}

// leader is the newest epoch's leader among those heard within the silence.
func (h *heard) leader(now time.Time) (leader *logpb.Beat, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range h.beats {
		if b.Epoch != 0 && now.Sub(b.at) <= h.silence && (!ok || b.Epoch > leader.Epoch) {
			leader, ok = b.Beat, true
		}
	}
	return leader, ok
}

// hasNoMore says whether somebody was heard lately to whom the log ends at slot: who leads by the
// newest claim, or anybody where this node leads itself by that one.
func (h *heard) hasNoMore(now time.Time, slot, leads uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	newest, said := leads, false
	for _, b := range h.beats {
		switch young := now.Sub(b.at) <= freshFor; {
		case !young:
		case b.Epoch > newest:
			newest, said = b.Epoch, b.Applied <= slot
		case leads > 0:
			said = said || b.Applied <= slot
		}
	}
	return said && (leads == 0 || newest == leads)
}

func (h *heard) members(now time.Time, self foz.Member) []foz.Member {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := []foz.Member{self}
	for _, b := range h.beats {
		if now.Sub(b.at) <= memberLifetime {
			all = append(all, foz.Member{ID: b.Node, HTTP: b.Http, Roles: b.Roles, Applied: b.Applied})
		}
	}
	slices.SortFunc(all, func(a, b foz.Member) int { return strings.Compare(a.ID, b.ID) })
	return all
}
