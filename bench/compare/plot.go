package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"tandem/bench/peer"
)

const (
	plotWidth, plotHeight = 760, 360
	plotLeft, plotRight   = 64, 200 // of the area that is drawn in
	plotTop, plotBottom   = 30, 44
)

var colours = map[string]string{
	"tandem": "#0b6e4f", "variant": "#7a5195", "kamailio-1": "#b5562b", "kamailio-2": "#e0a030",
	"tandem-tcp": "#4aa37f", "kamailio-1-tcp": "#8a3a5a", "kamailio-2-tcp": "#c060a0",
	"tandem-tls": "#9fd356", "kamailio-1-tls": "#2b4c9b", "kamailio-2-tls": "#6f8fe0",
	"sipgo": "#00add8", "floor": "#888888", "floor-batch": "#333333",
}

// plots are all drawings, by the end of their file's name.
func (r results) plots() map[string]string {
	all := map[string]string{}
	for _, c := range r.Curves {
		all["cpu-"+c.Load] = c.plot(r.About.Settings)
	}
	if s := r.About.Settings; len(r.Transports.Curve.Blocks) > 0 {
		all["transports"] = r.Transports.Curve.plot(s.over(transports...))
	}
	if len(r.Saturation) > 0 {
		all["saturation"] = plotSaturation(r.Saturation)
	}
	if len(r.Latency) > 0 {
		all["latency"] = plotLatency(r.Latency)
	}
	return all
}

// canvas is a drawing with values on its left side, from least to most; from
// more than 0 on it is logarithmic.
type canvas struct {
	strings.Builder
	least, most float64
}

func newCanvas(title string, least, most float64) *canvas {
	c := &canvas{least: least, most: 1.1 * max(most, 2*least, 1e-9)}
	say(c, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, plotHeight)
	say(c, `<rect width="%d" height="%d" fill="white"/>`+"\n<text x=\"%d\" y=\"16\">%s</text>\n", plotWidth, plotHeight, plotLeft, title)
	for _, v := range marks(least, c.most) {
		say(c, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%g</text>`+"\n",
			plotLeft, plotWidth-plotRight, c.y(v), c.y(v), plotLeft-6, c.y(v)+4, v)
	}
	return c
}

// marks are round values between two.
func marks(least, most float64) (all []float64) {
	if least > 0 {
		for v := least; v <= most; v *= 10 {
			for _, times := range []float64{1, 2, 5} {
				if v*times <= most {
					all = append(all, v*times)
				}
			}
		}
		return all
	}
	step := math.Pow(10, math.Floor(math.Log10(most)))
	for _, part := range []float64{0.2, 0.5, 1, 2} {
		if most/(part*step) <= 6 {
			step *= part
			break
		}
	}
	for i := 0; float64(i)*step <= most; i++ {
		all = append(all, float64(i)*step)
	}
	return all
}

func (c *canvas) y(v float64) float64 {
	share := v / c.most
	if c.least > 0 {
		share = math.Log(max(v, c.least)/c.least) / math.Log(c.most/c.least)
	}
	return plotHeight - plotBottom - share*(plotHeight-plotBottom-plotTop)
}

// x is a share of the width.
func (c *canvas) x(share float64) float64 { return plotLeft + share*(plotWidth-plotRight-plotLeft) }

func (c *canvas) below(x float64, text string) {
	say(c, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x, plotHeight-plotBottom+18, text)
}

func (c *canvas) dot(x, v float64, colour, title string) {
	say(c, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s" fill-opacity="0.6"><title>%s</title></circle>`+"\n", x, c.y(v), colour, title)
}

func (c *canvas) line(points []string, colour string) {
	if len(points) == 0 {
		return
	}
	say(c, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), colour)
}

// legend names the proxies at the right side.
func (c *canvas) legend(proxies []string) {
	for i, name := range proxies {
		y := plotTop + 18*i
		say(c, `<circle cx="%d" cy="%d" r="4" fill="%s"/><text x="%d" y="%d">%s</text>`+"\n",
			plotWidth-plotRight+14, y, colours[name], plotWidth-plotRight+24, y+4, name)
	}
}

func (c *canvas) done() string {
	c.WriteString("</svg>\n")
	return c.String()
}

// plot draws CPU per call over the rate: every block that counts is a dot, the
// medians are lines.
func (c curve) plot(s settings) string {
	most := 0.0
	for _, b := range c.Blocks {
		if b.Void == "" {
			most = max(most, b.Total)
		}
	}
	draw := newCanvas("CPU microseconds per call over calls/s: "+aboutLoad(c.Load), 0, most)
	top := float64(slices.Max(s.Rates))
	at := func(rate int) float64 { return draw.x(float64(rate) / top * 0.96) }
	for _, rate := range s.Rates {
		draw.below(at(rate), fmt.Sprint(rate))
	}
	for _, name := range s.Proxies {
		var points []string
		for _, rate := range s.Rates {
			values := c.values(rate, name, total)
			if len(values) == 0 {
				continue
			}
			points = append(points, fmt.Sprintf("%.1f,%.1f", at(rate), draw.y(median(values))))
			for _, v := range values {
				draw.dot(at(rate), v, colours[name], fmt.Sprintf("%s, %d/s: %.1f", peer.About(name), rate, v))
			}
		}
		draw.line(points, colours[name])
	}
	draw.legend(s.Proxies)
	return draw.done()
}

// plotSaturation draws the highest rate of each proxy.
func plotSaturation(all []saturation) string {
	most := 0.0
	for _, one := range all {
		most = max(most, float64(one.Rate))
	}
	draw := newCanvas("highest calls/s on one core, without a failure", 0, most)
	for i, one := range all {
		width := 1 / float64(len(all))
		x := draw.x(width * (float64(i) + 0.2))
		text := fmt.Sprint(one.Rate)
		if one.lowerBound() {
			text = "at least " + text
		}
		say(draw, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/><text x="%.1f" y="%.1f">%s</text>`+"\n",
			x, draw.y(float64(one.Rate)), draw.x(0.6*width)-draw.x(0), draw.y(0)-draw.y(float64(one.Rate)), colours[one.Proxy],
			x, draw.y(float64(one.Rate))-4, text)
		draw.below(draw.x(width*(float64(i)+0.5)), one.Proxy)
	}
	return draw.done()
}

// plotLatency draws INVITE to forward of all proxies at the same rate, over the
// quantiles.
func plotLatency(all []latency) string {
	most, rate := 0.0, 0
	var proxies []string
	for _, l := range all {
		if l.Common {
			most, rate = max(most, l.Forward[len(l.Forward)-2]), l.Rate
			proxies = append(proxies, l.Proxy)
		}
	}
	draw := newCanvas(fmt.Sprintf("INVITE to its forwarding in microseconds, all at %d calls/s", rate), 10, most)
	shown := quantiles[:len(quantiles)-1] // the most is one call
	at := func(i int) float64 { return draw.x((float64(i) + 0.5) / float64(len(shown))) }
	for i, q := range shown {
		draw.below(at(i), fmt.Sprintf("p%g", q))
	}
	for _, l := range all {
		if !l.Common {
			continue
		}
		var points []string
		for i, q := range shown {
			points = append(points, fmt.Sprintf("%.1f,%.1f", at(i), draw.y(l.Forward[i])))
			draw.dot(at(i), l.Forward[i], colours[l.Proxy], fmt.Sprintf("%s, p%g: %.0f", peer.About(l.Proxy), q, l.Forward[i]))
		}
		draw.line(points, colours[l.Proxy])
	}
	draw.legend(proxies)
	return draw.done()
}
