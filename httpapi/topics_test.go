package httpapi

import (
	"context"
	"strings"
	"testing"

	"github.com/fozlog/foz"
)

const defaults = `"config":{"retention_ms":0,"retention_bytes":0,"max_message_bytes":1048576,` +
	`"cleanup_policy":"delete","producer_ttl_ms":604800000,"delete_retention_ms":86400000}`

// How: a topic's life, each answer compared whole.
func TestTopics(t *testing.T) {
	h := newHouse()
	api := h.api(Config{}).Handler()
	object := func(name, id, config string, partitions string) string {
		return `{"name":"` + name + `","topic_id":"` + id + `","partitions":` + partitions + `,` +
			config + `,"created_at":"2023-11-14T22:13:20.123Z"`
	}
	const first = "01000000-0000-0000-0000-000000000000"
	const second = "02000000-0000-0000-0000-000000000001"
	got := do(api, "PUT", "/v1/topics/a", "")
	wantEqual(t, "created", got.status, 201)
	wantEqual(t, "object", got.body, object("a", first, defaults, "1")+"}\n")
	wantEqual(t, "slot", got.header.Get("Foz-Slot"), "1")
	configured := `"config":{"retention_ms":5,"retention_bytes":6,"max_message_bytes":7,` +
		`"cleanup_policy":"compact,delete","producer_ttl_ms":8,"delete_retention_ms":9}`
	got = do(api, "PUT", "/v1/topics/b", `{"partitions":8,`+configured+`}`,
		"Content-Type: application/json")
	wantEqual(t, "configured", got.body, object("b", second, configured, "8")+"}\n")

	got = do(api, "GET", "/v1/topics", "")
	wantEqual(t, "list", got.body, `{"topics":[`+object("a", first, defaults, "1")+"},"+
		object("b", second, configured, "8")+`}],"has_more":false}`+"\n")
	wantEqual(t, "page", do(api, "GET", "/v1/topics?limit=1&prefix=", "").body,
		`{"topics":[`+object("a", first, defaults, "1")+`}],"has_more":true}`+"\n")
	wantEqual(t, "after", do(api, "GET", "/v1/topics?start_after=b", "").body,
		`{"topics":[],"has_more":false}`+"\n")

	h.log(foz.Partition{Topic: foz.TopicID{1}}).Append(1, nil, []byte("x"), nil)
	wantEqual(t, "one", do(api, "GET", "/v1/topics/a", "").body, object("a", first, defaults, "1")+
		`,"partition_bounds":[{"partition":0,"earliest_offset":0,"next_offset":1,"records":1,`+
		`"bytes":23,"segments":1}]}`+"\n")

	wantEqual(t, "deleted", do(api, "DELETE", "/v1/topics/a", ""), answer{204, nil, ""})
	wantEqual(t, "gone", do(api, "GET", "/v1/topics/a", "").status, 404)
}

// How: a PUT of a topic that exists compares the members that it gives, defaults spelled out
// included.
func TestCreateTopicTwice(t *testing.T) {
	for body, status := range map[string]int{
		``:                 200,
		`{}`:               200,
		`{"partitions":4}`: 200,
		`{"config":{"retention_ms":9,"max_message_bytes":1048576,"cleanup_policy":"delete"}}`: 200,
		`{"config":{"retention_bytes":null}}`:                                                 200,
		`{"partitions":5}`:                                                                    409,
		`{"config":{"retention_ms":8}}`:                                                       409,
		`{"config":{"delete_retention_ms":86400000}}`:                                         200,
		`{"config":{"delete_retention_ms":1}}`:                                                409,
		`{"config":{"delete_retention_ms":0}}`:                                                422,
		`{"config":{"retention_ms":null}}`:                                                    409,
		`{"config":null}`:                                                                     409,
		`{"config":{"cleanup_policy":"compact"}}`:                                             409,
	} {
		h := newHouse()
		h.topic("t", 4, foz.TopicConfig{RetentionMS: 9})
		got := do(h.api(Config{}).Handler(), "PUT", "/v1/topics/t", body)
		if got.status != status {
			t.Errorf("%s: %d %s, want %d", body, got.status, got.body, status)
		}
	}
}

// How: each merge patch leaves what is written here.
func TestAlterTopic(t *testing.T) {
	for _, c := range []struct {
		patch, header string
		partitions    int32
		config        foz.TopicConfig
	}{
		{`{}`, "", 2, foz.TopicConfig{RetentionMS: 9, MaxMessageBytes: 7}},
		{`{"partitions":3}`, "", 3, foz.TopicConfig{RetentionMS: 9, MaxMessageBytes: 7}},
		{`{"config":{"retention_ms":1}}`, "application/merge-patch+json", 2,
			foz.TopicConfig{RetentionMS: 1, MaxMessageBytes: 7}},
		{`{"config":{"delete_retention_ms":5}}`, "", 2,
			foz.TopicConfig{RetentionMS: 9, MaxMessageBytes: 7, DeleteRetentionMS: 5}},
		{`{"config":{"retention_ms":null}}`, "application/json", 2, foz.TopicConfig{MaxMessageBytes: 7}},
		{`{"config":null}`, "", 2, foz.TopicConfig{}},
		{`{"config":{"cleanup_policy":"delete,compact"}}`, "", 2,
			foz.TopicConfig{RetentionMS: 9, MaxMessageBytes: 7, CleanupPolicy: "compact,delete"}},
	} {
		h := newHouse()
		h.topic("t", 2, foz.TopicConfig{RetentionMS: 9, MaxMessageBytes: 7})
		got := do(h.api(Config{}).Handler(), "PATCH", "/v1/topics/t", c.patch, "Content-Type: "+c.header)
		topic := h.topics["t"]
		if got.status != 200 || topic.Partitions != c.partitions || topic.Config != c.config {
			t.Errorf("%s: %d %s, %+v", c.patch, got.status, got.body, topic)
		}
	}
}

// How: a node that has not seen another's change catches up and changes what there is now;
// if it never catches up, the answer is a conflict.
func TestAlterStaleTopic(t *testing.T) {
	h := newHouse()
	old := h.topic("t", 2, foz.TopicConfig{})
	now := old
	now.Revision, now.Partitions = old.Revision+1, 4
	h.topics["t"], h.stale["t"] = now, old
	api := h.api(Config{}).Handler()
	got := do(api, "PATCH", "/v1/topics/t", `{"config":{"retention_ms":1}}`)
	wantEqual(t, "status", got.status, 200)
	wantEqual(t, "partitions", h.topics["t"].Partitions, 4)

	never := &lagging{h, old}
	a := h.api(Config{})
	a.Topics = never
	checkProblem(t, "never", do(a.Handler(), "PATCH", "/v1/topics/t", `{"partitions":9}`),
		foz.CodeTopicChanged)
}

// lagging always gives the topic as it was.
type lagging struct {
	*house
	topic foz.Topic
}

func (l *lagging) Topic(_ context.Context, _ string) (foz.Topic, error) { return l.topic, nil }

// How: at= in all its forms, and that latest catches up first.
func TestOffsets(t *testing.T) {
	h, _ := ten(2)
	api := h.api(Config{}).Handler()
	for _, c := range []struct {
		query, body string
		catchUps    int
	}{
		{"", `{"offset":10,"timestamp":-1}`, 1},
		{"?at=latest", `{"offset":10,"timestamp":-1}`, 1},
		{"?at=earliest", `{"offset":2,"timestamp":-1}`, 0},
		{"?at=450", `{"offset":4,"timestamp":500}`, 0},
		{"?at=-1", `{"offset":2,"timestamp":300}`, 0},
		{"?at=1001", `{"offset":10,"timestamp":-1}`, 0},
	} {
		h.catchUps = 0
		got := do(api, "GET", "/v1/topics/t/partitions/0/offsets"+c.query, "")
		if strings.TrimSpace(got.body) != c.body || h.catchUps != c.catchUps {
			t.Errorf("%s: %s after %d catch-ups", c.query, got.body, h.catchUps)
		}
	}
}

// How: a trim moves the log start; one below it says where it is.
func TestTrim(t *testing.T) {
	h, _ := ten(2)
	api := h.api(Config{}).Handler()
	for before, want := range map[string]string{"1": "2", "5": "5", "10": "10"} {
		h.earliest[foz.Partition{Topic: h.topics["t"].ID}] = 2
		got := do(api, "DELETE", oneRead+"?before="+before, "")
		wantEqual(t, before, got.body, `{"earliest_offset":`+want+"}\n")
	}
}

// How: a group's life; each answer compared whole but for the time.
func TestGroups(t *testing.T) {
	h, _ := ten(2)
	api := h.api(Config{}).Handler()
	got := do(api, "PUT", "/v1/groups/g/offsets", `{"offsets":[
		{"topic":"t","partition":0,"offset":7,"metadata":"m\"","if_offset":-1},
		{"topic":"t","partition":1,"offset":0,"metadata":null,"if_offset":null}]}`,
		"Content-Type: application/json")
	wantEqual(t, "committed", got.status, 200)
	for i := range h.offsets["g"] {
		if h.offsets["g"][i].CommittedMS == 0 {
			t.Error("no time")
		}
		h.offsets["g"][i].CommittedMS = 1700000000123
	}
	const at = `"committed_at":"2023-11-14T22:13:20.123Z"`
	const one = `{"topic":"t","partition":0,"offset":7,"metadata":"m\"",` + at
	const two = `{"topic":"t","partition":1,"offset":0,"metadata":"",` + at
	const group = `{"group":"g","offsets":[` + one + `,"next_offset":10,"lag":3},` +
		two + `,"next_offset":0,"lag":0}]}`
	wantEqual(t, "group", do(api, "GET", "/v1/groups/g", "").body, group+"\n")
	wantEqual(t, "groups", do(api, "GET", "/v1/groups", "").body, `{"groups":[`+group+"]}\n")
	wantEqual(t, "offsets", do(api, "GET", "/v1/groups/g/offsets?topic=t", "").body,
		`{"group":"g","offsets":[`+one+"},"+two+"}]}\n")
	wantEqual(t, "other topic", do(api, "GET", "/v1/groups/g/offsets?topic=no", "").status, 404)
	back := do(api, "GET", "/v1/groups/g", "").body
	wantEqual(t, "sent back", do(api, "PUT", "/v1/groups/g/offsets", back).status, 200)

	conflict := do(api, "PUT", "/v1/groups/g/offsets",
		`{"offsets":[{"topic":"t","partition":0,"offset":9,"if_offset":6}]}`)
	checkProblem(t, "conflict", conflict, foz.CodeOffsetConflict)
	wantEqual(t, "where it is", conflict.header.Get("Foz-Committed-Offset"), "7")
	h.offsets["g"][0].Topic = foz.TopicID{99}
	wantEqual(t, "topic gone", strings.Contains(do(api, "GET", "/v1/groups/g", "").body, `m\"`), false)
	wantEqual(t, "deleted", do(api, "DELETE", "/v1/groups/g", "").status, 204)
	wantEqual(t, "empty", do(api, "GET", "/v1/groups", "").body, `{"groups":[]}`+"\n")
}

// How: the answer compared whole.
func TestCluster(t *testing.T) {
	got := do(newHouse().api(Config{}).Handler(), "GET", "/v1/cluster", "")
	wantEqual(t, "cluster", got.body, `{"cluster_id":"c1","version":"v0","bucket":"mem://",`+
		`"health":"ok","nodes":[{"id":"n1","http":"http://h:1","roles":["ingest"],"applied_slot":7}],`+
		`"leader":{"id":"n1","http":"http://h:1","claim_slot":3},"requests":{`+
		`"create":{"flush":{"requests":3,"bytes":0,"errors":1},`+
		`"log":{"requests":1,"bytes":0,"errors":0}},`+
		`"get":{"fetch":{"requests":2,"bytes":10,"errors":0}}},`+
		`"cost":{"usd":0.00002,"usd_per_day":0.5,"put_usd_per_million":5,`+
		`"get_usd_per_million":0.4}}`+"\n")
}
