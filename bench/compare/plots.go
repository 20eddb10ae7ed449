package main

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// The size of plots, and of what is in them.
const (
	plotWidth  = 18 * vg.Centimeter
	plotHeight = 9 * vg.Centimeter
	barWidth   = vg.Length(22)
	lineWidth  = vg.Length(2)
)

// shades are the colours of the first, second and so on of what is compared;
// they differ in brightness too.
func shades(i int) color.Color {
	all := []color.Color{
		color.RGBA{R: 0x1b, G: 0x5e, B: 0x9c, A: 0xff},
		color.RGBA{R: 0xe0, G: 0x8a, B: 0x1e, A: 0xff},
		color.RGBA{R: 0x7f, G: 0xb8, B: 0x7a, A: 0xff},
	}
	return all[i%len(all)]
}

// newPlot makes an empty one.
func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	for _, f := range []*font.Font{
		&p.Title.TextStyle.Font, &p.X.Label.TextStyle.Font, &p.Y.Label.TextStyle.Font,
		&p.X.Tick.Label.Font, &p.Y.Tick.Label.Font, &p.Legend.TextStyle.Font,
	} {
		f.Variant = "Sans"
	}
	p.Title.Padding = vg.Points(6)
	p.Legend.Top = true
	p.Y.Tick.Marker = plot.TickerFunc(thousands)
	return p
}

// thousands are the usual ticks, their labels with commas.
func thousands(low, high float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(low, high)
	for i := range ticks {
		if ticks[i].Label != "" {
			ticks[i].Label = number(ticks[i].Value, decimals(ticks[i].Value))
		}
	}
	return ticks
}

// decimals is how many a tick's label wants.
func decimals(v float64) int {
	if v == math.Trunc(v) {
		return 0
	}
	return 1
}

// bars is a chart of groups of bars: values[series][group].
type bars struct {
	title, y string
	groups   []string
	series   []string
	values   [][]float64
}

func (b *bars) draw() (*plot.Plot, error) {
	p := newPlot(b.title, "", b.y)
	p.Y.Min = 0
	for i, values := range b.values {
		chart, err := plotter.NewBarChart(plotter.Values(values), barWidth)
		if err != nil {
			return nil, fmt.Errorf("draw %q: %w", b.title, err)
		}
		chart.Color = shades(i)
		chart.LineStyle.Width = 0
		chart.Offset = barWidth * vg.Length(float64(i)-float64(len(b.values)-1)/2)
		p.Add(chart)
		if len(b.series) > 1 {
			p.Legend.Add(b.series[i], chart)
		}
	}
	p.NominalX(b.groups...)
	p.X.Min, p.X.Max = -0.6, float64(len(b.groups))-0.4
	p.Y.Max *= 1.1 // room for the legend
	return p, nil
}

// line is one line of a chart.
type line struct {
	name   string
	points plotter.XYs
}

// curves is a chart of lines, with a logarithmic height.
type curves struct {
	title, x, y string
	lines       []line
}

func (c *curves) draw() (*plot.Plot, error) {
	p := newPlot(c.title, c.x, c.y)
	p.Y.Scale = plot.LogScale{}
	p.Y.Tick.Marker = plot.LogTicks{Prec: -1}
	p.X.Tick.Marker = plot.TickerFunc(thousands)
	p.Legend.Left = true
	p.X.Min = 0
	p.Add(plotter.NewGrid())
	for i, l := range c.lines {
		drawn, points, err := plotter.NewLinePoints(l.points)
		if err != nil {
			return nil, fmt.Errorf("draw %q: %w", c.title, err)
		}
		drawn.Color, points.Color = shades(i), shades(i)
		drawn.Width = lineWidth
		p.Add(drawn, points)
		p.Legend.Add(l.name, drawn)
	}
	p.Y.Min, p.Y.Max = math.Pow10(int(math.Floor(math.Log10(p.Y.Min)))), math.Pow10(int(math.Ceil(math.Log10(p.Y.Max))))
	return p, nil
}

// chart is what can be drawn.
type chart interface{ draw() (*plot.Plot, error) }

// draw draws all plots that there are figures for, and says which.
func (b *book) draw() (map[string]bool, error) {
	drawn := map[string]bool{}
	for name, c := range b.charts() {
		p, err := c.draw()
		if err != nil {
			return nil, err
		}
		if err := p.Save(plotWidth, plotHeight, b.place(name)); err != nil {
			return nil, fmt.Errorf("write the plot %s: %w", name, err)
		}
		drawn[name] = true
	}
	return drawn, nil
}

// charts are the plots that there are figures for.
func (b *book) charts() map[string]chart {
	charts := map[string]chart{}
	if b.nats != nil {
		charts["nats"] = b.nats.bars("Durable messages of 256 B", "messages/s", func(s *sample) float64 { return s.Completed })
		charts["nats-cpu"] = b.nats.bars("Processor time of all servers for a message", "µs", func(s *sample) float64 { return s.ServerCPU })
		charts["nats-p99"] = b.nats.bars("99 of 100 messages are acknowledged within", "ms", func(s *sample) float64 { return s.Latency.P99 })
	}
	if c := b.latencyCurves(); len(c.lines[0].points) > 1 {
		charts["latency"] = c
	}
	if fanout := b.fanoutBars(); len(fanout.groups) > 1 {
		charts["fanout"] = fanout
	}
	return charts
}

// bars compares a figure of all systems.
func (r *result) bars(title, y string, figure func(*sample) float64) *bars {
	b := &bars{title: title, y: y}
	for _, c := range r.Cells {
		series := fmt.Sprintf("%d in flight", c.InFlight)
		i := slices.Index(b.series, series)
		if i < 0 {
			i = len(b.series)
			b.series, b.values = append(b.series, series), append(b.values, nil)
		}
		if i == 0 {
			b.groups = append(b.groups, c.label())
		}
		b.values[i] = append(b.values[i], figure(&c.Median))
	}
	return b
}

// label is a setup's name in two lines.
func (s setup) label() string {
	if s.System == quorateName {
		return fmt.Sprintf("Quorate\n%d shards", s.Groups)
	}
	durable := "sync always"
	if s.Sync != syncAlways {
		durable = "sync later"
	}
	return fmt.Sprintf("NATS × %d\n%s", s.Groups, durable)
}

// latencyCurves draws latencies by the rate that was offered, as far as it was
// answered.
func (b *book) latencyCurves() *curves {
	c := &curves{title: "From when a message is due to its acknowledgement", x: "messages/s offered", y: "ms", lines: []line{{name: "p50"}, {name: "p99"}}}
	var seen []report
	for _, s := range rates(0) {
		r := b.report(s.name)
		if s.name != full && r.Completed > 0.9*r.Offered {
			seen = append(seen, r)
		}
	}
	slices.SortFunc(seen, func(a, b report) int { return cmp.Compare(a.Offered, b.Offered) })
	for _, r := range seen {
		for i, v := range []float64{r.Latency.P50, r.Latency.P99} {
			if v > 0 { // the scale is logarithmic
				c.lines[i].points = append(c.lines[i].points, plotter.XY{X: r.Offered, Y: v})
			}
		}
	}
	return c
}

// fanoutBars draws deliveries by the size of groups.
func (b *book) fanoutBars() *bars {
	c := &bars{title: "Deliveries, by members of a group", y: "deliveries/s", series: []string{"deliveries/s"}, values: [][]float64{nil}}
	for _, members := range []int{2, 10, 100, 1000, 10_000} {
		if r := b.report(fmt.Sprintf("fanout-%d", members)); r.Members > 0 {
			c.groups = append(c.groups, number(float64(members), 0))
			c.values[0] = append(c.values[0], r.Deliveries)
		}
	}
	return c
}
