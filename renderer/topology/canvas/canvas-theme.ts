import type { StylesheetJsonBlock } from 'cytoscape';

/** Cytoscape draws the wires and takes the pointer; cards are HTML above it. Colours come from the theme's variables. */
export function wireStyles(element: Element): StylesheetJsonBlock[] {
  const computed = getComputedStyle(element);
  const colour = (variable: string) => computed.getPropertyValue(variable).trim() || '#888888';
  return [
    {
      selector: 'core',
      style: {
        'active-bg-color': colour('--accent'),
        'active-bg-opacity': 0,
        'active-bg-size': 0,
        'selection-box-color': colour('--accent'),
        'selection-box-border-color': colour('--accent'),
        'selection-box-border-width': 1,
        'selection-box-opacity': 0.12,
        'outside-texture-bg-color': colour('--canvas'),
        'outside-texture-bg-opacity': 1,
      },
    },
    {
      selector: 'node.card',
      style: {
        shape: 'round-rectangle',
        width: 'data(width)',
        height: 'data(height)',
        'background-opacity': 0,
        'border-width': 0,
        'overlay-opacity': 0,
      },
    },
    {
      selector: 'node.port',
      style: { width: 1, height: 1, 'background-opacity': 0, events: 'no', 'overlay-opacity': 0 },
    },
    {
      selector: 'edge',
      style: {
        'curve-style': 'straight',
        width: 2,
        'line-color': colour('--wire'),
        'overlay-opacity': 0,
        'overlay-padding': 6,
      },
    },
    {
      selector: 'edge.wanted',
      style: {
        'line-style': 'dashed',
        'line-dash-pattern': [5, 4],
        'line-color': colour('--wire-wanted'),
      },
    },
    {
      selector: 'edge.foreign',
      style: {
        'line-style': 'dashed',
        'line-dash-pattern': [2, 3],
        'line-color': colour('--wire-wanted'),
        width: 1.5,
      },
    },
    {
      selector: 'edge.no-carrier',
      style: { 'line-style': 'dashed', 'line-dash-pattern': [14, 8] },
    },
    // A tube: the line runs dashed inside a pale one.
    {
      selector: 'edge.tunnel, edge.overlay',
      style: {
        'line-style': 'dashed',
        'line-dash-pattern': [7, 5],
        'line-outline-width': 3.5,
        'line-outline-color': colour('--surface-tube'),
        width: 1.75,
      },
    },
    {
      selector: 'edge.tunnel.no-carrier, edge.overlay.no-carrier',
      style: { 'line-dash-pattern': [2, 8] },
    },
    // Two ports that are one cable inside of Open vSwitch: a clasp in the middle.
    {
      selector: 'edge.patch',
      style: {
        'line-color': colour('--ovs'),
        'mid-target-arrow-shape': 'square',
        'mid-target-arrow-color': colour('--ovs'),
        'arrow-scale': 0.8,
      },
    },
    {
      selector: 'edge.underlay',
      style: { 'line-color': colour('--protocol-tunnel'), width: 4 },
    },
    {
      selector: 'edge.add',
      style: { 'line-style': 'dotted', 'line-color': colour('--accent'), width: 2.5 },
    },
    {
      selector: 'edge.remove',
      style: {
        'line-style': 'dashed',
        'line-dash-pattern': [6, 4],
        'line-color': colour('--bad'),
        width: 2.5,
      },
    },
    {
      selector: 'edge.traced',
      style: { 'line-color': colour('--trace'), 'line-style': 'solid', width: 3.5 },
    },
    {
      selector: 'edge.traced.onward',
      style: {
        'mid-target-arrow-shape': 'triangle',
        'mid-target-arrow-color': colour('--trace'),
        'arrow-scale': 1.2,
      },
    },
    {
      selector: 'edge.traced.backward',
      style: {
        'mid-target-arrow-shape': 'none',
        'mid-source-arrow-shape': 'triangle',
        'mid-source-arrow-color': colour('--trace'),
        'arrow-scale': 1.2,
      },
    },
    { selector: 'edge.selected', style: { 'line-color': colour('--accent'), width: 3 } },
    // The way of a packet is seen on the wire that it was captured on, too.
    { selector: 'edge.selected.traced', style: { 'line-color': colour('--trace'), width: 4 } },
  ];
}
