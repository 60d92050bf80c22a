import Foundation

/// Pieces that all charts are made of. Whatever text comes in is escaped.
enum ChartMarkup {
  /// Text for an element or a quoted attribute.
  static func escape(_ text: String) -> String {
    var escaped = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "\"": escaped += "&quot;"
      case "'": escaped += "&#39;"
      // XML has no way to write these.
      case _ where scalar.properties.generalCategory == .control: escaped += " "
      default: escaped.unicodeScalars.append(scalar)
      }
    }
    return escaped
  }

  /// A coordinate: a tenth of a unit is finer than any screen.
  static func number(_ value: Double) -> String { Spelling.decimals(value, 1) }

  /// A chart with its caption, its drawing and its numbers.
  ///
  /// - Parameters:
  ///   - id: unique on the page; the parts' ids begin with it.
  ///   - summary: the essential figures, in words.
  ///   - legend: markup that says which line is whose.
  ///   - drawing: what is inside of the SVG.
  static func figure(
    id: String, title: String, summary: String, legend: String = "", drawing: String,
    table: String
  ) -> String {
    let (id, title, summary) = (escape(id), escape(title), escape(summary))
    return """
      <figure class="chart">
      <figcaption><strong>\(title)</strong> <span class="quiet">\(summary)</span></figcaption>
      \(legend)<div class="scroll" tabindex="0" role="region" aria-label="\(title): drawing">
      <svg class="plot" role="img" aria-labelledby="\(id)-title \(id)-text" \
      viewBox="0 0 \(number(Plot.width)) \(number(Plot.height))">
      <title id="\(id)-title">\(title)</title><desc id="\(id)-text">\(summary)</desc>
      \(drawing)
      </svg>
      </div>
      <details id="\(id)-numbers"><summary>\(title): the numbers</summary>
      <div class="scroll" tabindex="0" role="region" aria-label="\(title): the numbers">
      \(table)
      </div>
      </details>
      </figure>
      """
  }

  /// What stands in place of a chart that would be empty.
  static func nothing(title: String, period: String) -> String {
    """
    <figure class="chart">
    <figcaption><strong>\(escape(title))</strong> \
    <span class="quiet">Nothing yet \(escape(period)).</span></figcaption>
    </figure>
    """
  }

  /// A table whose first column names its rows.
  static func table(header: [String], rows: [[String]]) -> String {
    let head: [String] = header.enumerated().map { column, text in
      "<th scope=\"col\"\(column == 0 ? "" : " class=\"number\"")>\(escape(text))</th>"
    }
    let body: [String] = rows.map { row in
      let cells: [String] = row.dropFirst().map { "<td class=\"number\">\(escape($0))</td>" }
      return "<tr><th scope=\"row\">\(escape(row.first ?? ""))</th>\(cells.joined())</tr>"
    }
    return "<table>\n<thead><tr>\(head.joined())</tr></thead>\n<tbody>\n"
      + body.joined(separator: "\n") + "\n</tbody>\n</table>"
  }
}
