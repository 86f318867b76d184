package console

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	prefix = "quord_"
	// Bounds of scraping: more than this at once, or for longer, and somebody else is using up the node.
	maxScrapes    = 4
	scrapeTimeout = 10 * time.Second
)

// Source tells the figures of one component, each time from a fresh snapshot. It must be quick and safe for use by
// several goroutines.
type Source func(Emitter)

// Emitter takes the figures of a Source. Labels are names and values in turn; one name always has the same help text
// and the same label names.
type Emitter struct{ to chan<- prometheus.Metric }

// Counter tells how often something has happened since the node started; its name ends in _total.
func (e Emitter) Counter(name, help string, value float64, labels ...string) {
	e.constant(prometheus.CounterValue, name, help, value, labels)
}

// Gauge tells how much of something there is, or what its bound is.
func (e Emitter) Gauge(name, help string, value float64, labels ...string) {
	e.constant(prometheus.GaugeValue, name, help, value, labels)
}

// Histogram tells how something is distributed.
func (e Emitter) Histogram(name, help string, h Histogram, labels ...string) {
	desc, values, err := describe(name, help, labels)
	if err == nil && len(h.Counts) != len(h.Bounds) && len(h.Counts) != len(h.Bounds)+1 {
		err = fmt.Errorf("metric %s: %d counts for %d bounds", name, len(h.Counts), len(h.Bounds))
	}
	if err != nil {
		e.refuse(name, err)
		return
	}
	cumulated := make(map[float64]uint64, len(h.Bounds))
	total := uint64(0)
	for i, n := range h.Counts {
		total += n
		if i < len(h.Bounds) {
			cumulated[h.Bounds[i]] = total
		}
	}
	m, err := prometheus.NewConstHistogram(desc, total, h.Sum, cumulated, values...)
	if err != nil {
		e.refuse(name, err)
		return
	}
	e.to <- m
}

// Histogram is a distribution. Counts[i] is how many values were at most Bounds[i] and above the bound before it; one
// count more than bounds are the values above the last bound. Sum is that of all values. Bounds ascend.
type Histogram struct {
	Bounds []float64
	Counts []uint64
	Sum    float64
}

func (e Emitter) constant(kind prometheus.ValueType, name, help string, value float64, labels []string) {
	desc, values, err := describe(name, help, labels)
	if err != nil {
		e.refuse(name, err)
		return
	}
	m, err := prometheus.NewConstMetric(desc, kind, value, values...)
	if err != nil {
		e.refuse(name, err)
		return
	}
	e.to <- m
}

// refuse makes the scrape tell, and log, that a figure is missing and why.
func (e Emitter) refuse(name string, err error) {
	e.to <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(fmt.Errorf("metric %s: %w", name, err)), err)
}

func describe(name, help string, labels []string) (*prometheus.Desc, []string, error) {
	if !strings.HasPrefix(name, prefix) {
		return nil, nil, fmt.Errorf("the name does not begin with %s", prefix)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') }) {
		return nil, nil, errors.New("the name is not made of a-z, 0-9 and _")
	}
	if len(labels)%2 != 0 {
		return nil, nil, fmt.Errorf("the label %s has no value", labels[len(labels)-1])
	}
	var names, values []string
	for i := 0; i < len(labels); i += 2 {
		names = append(names, labels[i])
		values = append(values, labels[i+1])
	}
	return prometheus.NewDesc(name, help, names, nil), values, nil
}

// collector makes a Source one of Prometheus'. It describes nothing beforehand: which commands, peers and workers there
// are is only known when they are asked for.
type collector struct{ source Source }

func (collector) Describe(chan<- *prometheus.Desc)      {}
func (c collector) Collect(to chan<- prometheus.Metric) { c.source(Emitter{to}) }

// complaints is where the exposition tells what is wrong with a figure.
type complaints struct{ log *slog.Logger }

func (c complaints) Println(v ...any) {
	c.log.Error("metrics are incomplete", "error", strings.TrimSpace(fmt.Sprintln(v...)))
}

// Build says what is running.
type Build struct{ Version, Commit string }

func (b Build) tell(e Emitter) {
	e.Gauge("quord_build_info", "What is running; always 1.", 1, "version", b.Version, "commit", b.Commit, "go", runtime.Version())
}

func metricsHandler(cfg Config) http.Handler {
	registry := prometheus.NewRegistry()
	for _, s := range append([]Source{cfg.Build.tell}, cfg.Sources...) {
		registry.MustRegister(collector{s}) // cannot fail: it describes nothing that could collide
	}
	own := prometheus.WrapRegistererWithPrefix(prefix, registry)
	own.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog:            complaints{cfg.Log},
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
		Timeout:             scrapeTimeout,
	})
}
