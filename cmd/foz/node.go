package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/fozlog/foz/bus"
	"github.com/fozlog/foz/compactor"
	"github.com/fozlog/foz/flight"
	"github.com/fozlog/foz/httpapi"
	"github.com/fozlog/foz/ingest"
	"github.com/fozlog/foz/metadata"
	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/reader"
)

// nodeConfig is what a node is told.
type nodeConfig struct {
	Bucket        string
	HTTP          string // host:port; port 0 takes a free one
	Flight        string // the same, for Arrow Flight; "": not served
	Advertise     string // base URL others reach this node at; "": where it listens
	FlushInterval time.Duration
	Roles         []string
	ClusterID     string     // UUID the bucket must be of; "": any, or a new one
	Bus           bus.Config // of servers and sockets; zero: a bus of this process alone
	Compactor     compactor.Config
	ColdRate      int64 // bytes per second that replays fetch while records come in; 0: no limit
	Door          *door // nil: everybody who reaches it may do everything
	Logger        *slog.Logger

	wrap func(objectstore.Store) objectstore.Store // put around the bucket; nil: nothing is
}

// alone: no other node can be on the bus.
func (c nodeConfig) alone() bool {
	return len(c.Bus.URLs) == 0 && c.Bus.Listen == "" && c.Bus.ClusterListen == ""
}

func (c nodeConfig) has(role string) bool { return slices.Contains(c.Roles, role) }

// node is a running node: all rooms, wired.
//
//	        httpapi ---- topics, groups ---> metadata.Client ---+
//	       /       \                              ^             | bus
//	      v         v                             |             v
//	  ingest       reader --- locate ---> metadata.Replica (leads when asked)
//	   |  \__ put __^ |                       |        ^
//	   |              |                       |        | index
//	   v              v                       v     compactor
//	+---------------- objectstore, every request counted ----------------+
type node struct {
	URL    string
	Flight string // URL of Arrow Flight; "": not served

	cfg     nodeConfig
	id      string
	started time.Time
	raw     objectstore.Store
	cold    objectstore.Store // the same bucket, for those who can wait
	store   *objectstore.Counted
	cluster [16]byte
	bus     *bus.NATS
	replica *metadata.Replica
	client  *metadata.Client
	reader  *reader.Reader
	ingest  *ingest.Ingest
	compact *compactor.Compactor
	api     *httpapi.API
	http    *listening
	flight  *listening // nil: not served

	stages []*stage // in the order they are stopped
	failed chan error
}

// stage is a part of the node that runs until it is told to stop.
type stage struct {
	stop context.CancelFunc
	done chan struct{}
}

// startNode opens the bucket, joins its cluster or begins one, and serves. An error leaves
// nothing running.
func startNode(ctx context.Context, cfg nodeConfig) (*node, error) {
	n := &node{cfg: cfg, started: time.Now(), failed: make(chan error, 8)}
	n.id = "n" + strings.ToLower(ulid.MustNew(ulid.Now(), rand.Reader).String()[10:])
	for _, step := range []func(context.Context) error{
		n.listen, n.openBucket, n.joinCluster, n.wire, n.run,
	} {
		if err := step(ctx); err != nil {
			n.Close()
			return nil, err
		}
	}
	return n, nil
}

func (n *node) listen(ctx context.Context) (err error) {
	if n.http, err = listenAt(ctx, n.cfg.HTTP); err != nil {
		return err
	}
	n.URL = n.cfg.Advertise
	if n.URL == "" {
		n.URL = n.cfg.Door.scheme() + "://" + n.http.listener.Addr().String()
	}
	if n.cfg.Flight == "" {
		return nil
	}
	if n.flight, err = listenAt(ctx, n.cfg.Flight); err != nil {
		return err
	}
	scheme := "grpc+tcp"
	if n.cfg.Door.tls() != nil {
		scheme = "grpc+tls"
	}
	n.Flight = scheme + "://" + n.flight.listener.Addr().String()
	return nil
}

// listeners are all there are.
func (n *node) listeners() []*listening {
	return slices.DeleteFunc([]*listening{n.http, n.flight},
		func(l *listening) bool { return l == nil })
}

// openBucket opens the store and asks it whether it keeps the promises foz needs: all of
// them of a node that may lead, that it can be read of the others.
func (n *node) openBucket(ctx context.Context) (err error) {
	n.raw, err = objectstore.Open(ctx, n.cfg.Bucket, drivers)
	if err != nil {
		return err
	}
	if n.cold, err = openCold(ctx, n.cfg.Bucket, n.raw); err != nil {
		return err
	}
	var store objectstore.Store = lanes{n.raw, n.cold}
	if n.cfg.wrap != nil {
		store = n.cfg.wrap(store)
	}
	n.store = objectstore.NewCounted(store)
	ctx = objectstore.WithCause(ctx, "check")
	if n.cfg.has(metadata.RoleMetadata) {
		err = objectstore.Check(ctx, n.store)
	} else {
		_, _, err = n.store.List(ctx, "", "", 1)
	}
	if err != nil {
		return fmt.Errorf("check bucket: %w", err)
	}
	return nil
}

// genesisPause is how often a node that may not begin a cluster looks for one.
const genesisPause = time.Second

func (n *node) joinCluster(ctx context.Context) (err error) {
	founder := ""
	if n.cfg.has(metadata.RoleMetadata) && n.cfg.ClusterID == "" {
		founder = n.id
	}
	for {
		n.cluster, err = metadata.Genesis(ctx, n.store, rand.Reader, founder)
		if !errors.Is(err, metadata.ErrNoCluster) || n.cfg.ClusterID != "" {
			break
		}
		n.cfg.Logger.Info("waiting for a node with the metadata role to begin a cluster")
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(genesisPause):
		}
	}
	if err != nil {
		return fmt.Errorf("find the cluster in the bucket: %w", err)
	}
	id := uuid.UUID(n.cluster).String()
	if n.cfg.ClusterID != "" && !strings.EqualFold(n.cfg.ClusterID, id) {
		return fmt.Errorf("the bucket is of cluster %s, not of %s", id, n.cfg.ClusterID)
	}
	cfg := n.cfg.Bus
	cfg.Cluster, cfg.Name = id, n.id
	n.bus, err = bus.New(cfg)
	if err != nil {
		return err
	}
	return n.bus.Start(ctx)
}

// wire makes the rooms and hands each what it needs of the others.
func (n *node) wire(context.Context) error {
	logger := n.cfg.Logger
	n.replica = metadata.New(
		metadata.Deps{Store: n.store, Bus: n.bus, Entropy: rand.Reader, Logger: logger},
		n.metadataConfig())
	n.client = metadata.NewClient(n.replica)
	polite := &courteous{Store: n.store, bytesPerSecond: n.cfg.ColdRate}
	n.reader = reader.New(
		reader.Deps{Store: polite, Locator: n.replica, Logger: logger}, reader.Config{})
	n.ingest = ingest.New(
		ingest.Deps{
			Store: polite, Committer: n.client, Slots: n.replica, Cache: n.reader,
			Entropy: rand.Reader, Logger: logger,
		},
		ingest.Config{FlushInterval: n.cfg.FlushInterval})
	cfg := n.cfg.Compactor
	cfg.Node = n.id
	index := indexCatalog{n.replica, n.client}
	n.compact = compactor.New(compactor.Deps{
		Store: n.store, Catalog: index, Tables: index, Busy: polite.busy, Logger: logger,
	}, cfg)
	registry := n.metrics()
	catalog := topicCatalog{n.replica, n.client}
	deps := httpapi.Deps{
		Producer: n.ingest, Reader: n.reader, Topics: catalog, TopicAdmin: catalog,
		Groups: groupCatalog{n.replica, n.client}, Cluster: n, Sessions: session{n.replica},
		Maintainer: maintainer{n.compact}, Planner: planner{n.reader, n.raw},
		Ready: n.ready, Metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
		Registerer: registry, Logger: logger,
	}
	if !n.cfg.has(roleIngest) {
		deps.Producer = elsewhere{roleIngest, n.replica}
	}
	if !n.cfg.has(roleReader) {
		deps.Reader = elsewhere{roleReader, n.replica}
	}
	if !n.cfg.has(roleCompactor) {
		deps.Maintainer = elsewhere{roleCompactor, n.replica}
	}
	if n.cfg.Door != nil && n.cfg.Door.credentials != nil {
		deps.Authenticator = n.cfg.Door.credentials
	}
	n.api = httpapi.New(deps, httpapi.Config{})
	handler := n.api.Handler()
	n.http.answer(handler, n.cfg.Door.tls(), logger)
	if n.flight != nil {
		service := flight.New(flight.Deps{Handler: handler}, flight.Config{})
		n.flight.answer(service, n.cfg.Door.tls(), logger)
		n.flight.speakGRPC()
	}
	return nil
}

func (n *node) metadataConfig() metadata.Config {
	c := metadata.Config{
		Cluster: n.cluster, Node: n.id, HTTP: n.URL, Roles: n.cfg.Roles,
		Candidate: n.cfg.has(metadata.RoleMetadata), Seed: randomSeed(),
	}
	if !n.cfg.alone() { // 0.7 to 2.5 s
		c.Silence = 700*time.Millisecond + time.Duration(c.Seed%1800)*time.Millisecond
	}
	return c
}

// run starts the rooms. They are stopped in the order of the stages: first what brings
// work, last what the others need.
func (n *node) run(ctx context.Context) error {
	// Both at once: requests under way are answered when their records are flushed, and those
	// that come too late are refused.
	n.stage(func(ctx context.Context) error {
		var g errgroup.Group
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		g.Go(func() error { defer cancel(); return n.serve(ctx) })
		g.Go(func() error { return n.ingest.Run(ctx) })
		return g.Wait()
	})
	if n.cfg.Door != nil {
		n.stage(func(ctx context.Context) error { n.cfg.Door.run(ctx, n.cfg.Logger); return nil })
	}
	n.stage(func(ctx context.Context) error {
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() error { return n.replica.Run(ctx) })
		if n.cfg.has(roleCompactor) {
			g.Go(func() error { return n.compact.Run(ctx) })
		}
		return g.Wait()
	})
	select {
	case <-n.replica.Ready():
		return nil
	case err := <-n.failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *node) stage(run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	s := &stage{stop: cancel, done: make(chan struct{})}
	n.stages = append(n.stages, s)
	go func() {
		defer close(s.done)
		if err := run(ctx); err != nil {
			n.failed <- err
		}
	}()
}

// serve answers at all addresses until ctx ends, then finishes the requests under way.
func (n *node) serve(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, l := range n.listeners() {
		g.Go(l.serve)
		g.Go(func() error {
			<-ctx.Done()
			n.api.Drain()
			return l.shutdown()
		})
	}
	return g.Wait()
}

// Wait returns when ctx ends (nil), or when a part of the node cannot go on.
func (n *node) Wait(ctx context.Context) error {
	select {
	case err := <-n.failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// Close drains and stops the node: no new requests, what was accepted is flushed, committed
// and answered, then the rest ends.
func (n *node) Close() {
	for _, s := range n.stages {
		s.stop()
		<-s.done
	}
	if n.bus != nil {
		n.bus.Close()
	}
	if len(n.stages) == 0 {
		for _, l := range n.listeners() {
			_ = l.listener.Close() // it never served
		}
	}
	closeStore(n.raw)
	if n.cold != n.raw {
		closeStore(n.cold)
	}
}

// Counts are the requests to the store since the start.
func (n *node) Counts() []objectstore.Count { return n.store.Counts() }

func (n *node) ready() error {
	select {
	case <-n.replica.Ready():
		return nil
	default:
		return errors.New("loading metadata")
	}
}

func (n *node) metrics() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registry.MustRegister(n.ingest.Collectors()...)
	registry.MustRegister(n.store, readerMetrics{n.reader}, replicaMetrics{n.replica})
	if n.cfg.has(roleCompactor) {
		registry.MustRegister(compactorMetrics{n.compact})
	}
	return registry
}

func randomSeed() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return binary.LittleEndian.Uint64(b[:])
}
