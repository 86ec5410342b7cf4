// picture draws docs/architecture.svg: it reads an ASCII diagram from standard input and writes an SVG.
//
// GoAT does the drawing. It has no dependencies and uses no fonts of the machine, so the same text always gives the
// same file, and tests/generated can compare it. The Rust crates that were tried do not fit: svgbob brings some 60
// dependencies and an older futures, and layout-rs writes its styles in a random order.
//
// In the diagram, no word may start with a small v: GoAT can take it for an arrowhead.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/bep/goat"
)

// GoAT's cells are 8 pixels wide. Letters of 13 pixels fit into them.
const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[2]d" width="%[1]d" height="%[2]d" role="img" aria-label="%[3]s">
<!-- Generated from docs/architecture.txt. -->
<style>
svg { color: #1f2328; font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace }
text { fill: currentColor; text-anchor: middle }
rect { fill: #ffffff; stroke: #d1d9e0 }
@media (prefers-color-scheme: dark) { svg { color: #d1d7e0 } rect { fill: #151b23; stroke: #3d444d } }
</style>
<rect x="0.5" y="0.5" width="%[4]d" height="%[5]d" rx="6"/>
`

func main() {
	picture := goat.BuildSVG(os.Stdin)
	width, height := picture.Width+8, picture.Height+8
	fmt.Printf(head, width, height, "How data flows through the operator", width-1, height-1)
	// The style sheet says it once for all letters.
	short := strings.NewReplacer(" text-anchor='middle'", "", " fill='currentColor' style='font-size:1em'", "")
	fmt.Print(short.Replace(picture.Body), "</svg>\n")
}
