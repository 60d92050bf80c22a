import Foundation

/// How a name looks, so that nobody takes a name that others would read as somebody else's.
package enum NameLikeness {
  /// A text that two names share when one may be taken for the other: the skeleton of Unicode
  /// Technical Standard 39, section 4, over compatibility decompositions, without the difference of
  /// capital letters and of `i`, `l` and `1`.
  package static func key(of name: String) -> String {
    // Capital letters look like other letters than their small ones do, so both are reduced.
    let reduced = skeleton(skeleton(name).lowercased())
    return String(String.UnicodeScalarView(reduced.unicodeScalars.map { $0 == "i" ? "l" : $0 }))
  }

  private static func skeleton(_ text: String) -> String {
    var view = String.UnicodeScalarView()
    for scalar in text.decomposedStringWithCompatibilityMapping.unicodeScalars {
      for shown in prototypes[scalar] ?? [scalar] { view.append(shown) }
    }
    return String(view).decomposedStringWithCompatibilityMapping
  }

  private static let prototypes: [Unicode.Scalar: [Unicode.Scalar]] = {
    func scalar(_ hex: Substring) -> Unicode.Scalar? {
      UInt32(hex, radix: 16).flatMap(Unicode.Scalar.init)
    }
    var result: [Unicode.Scalar: [Unicode.Scalar]] = [:]
    for entry in ConfusableTable.text.split(whereSeparator: \.isWhitespace) {
      let sides = entry.split(separator: ":")
      guard sides.count == 2 else { continue }
      let prototype = sides[0].split(separator: "+").compactMap(scalar)
      for source in sides[1].split(separator: ",").compactMap(scalar) { result[source] = prototype }
    }
    return result
  }()
}
