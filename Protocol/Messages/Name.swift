import Foundation

/// The rule for names that people give: of accounts, teams, machines, keys and files.
///
/// A name is one line of text in Unicode's normalisation form C, without characters that cannot be
/// seen or that change what stands beside them.
package enum Name {
  /// Bytes of UTF-8 that a name may take.
  package static let limitBytes = 254
  /// Bytes of UTF-8 that a machine's name may take.
  package static let machineLimitBytes = 100

  /// What is wrong with a name, in words that continue "The name ...".
  package enum Fault: Error, Hashable, CustomStringConvertible {
    case empty
    case tooLong(limitBytes: Int)
    case refused(Unicode.Scalar)
    case tooManyMarks

    package var description: String {
      switch self {
      case .empty: "is empty."
      case .tooLong(let limit): "takes more than \(limit) bytes in UTF-8."
      case .refused(let scalar):
        "has the character U+\(Self.hex(scalar)), which is not shown or changes what is around it."
      case .tooManyMarks: "has more combining marks on a letter than any script needs."
      }
    }

    private static func hex(_ scalar: Unicode.Scalar) -> String {
      let digits = String(scalar.value, radix: 16, uppercase: true)
      return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
  }

  /// The name as it is stored: in form C, blanks at its ends removed, other runs of blanks one
  /// space.
  ///
  /// - Throws: `Fault` for a name that is refused.
  package static func checked(
    _ text: String, limitBytes: Int = limitBytes
  ) throws(Fault) -> String {
    // Form C is at most three times as short: a longer text is refused without a look at it.
    guard text.utf8.count <= 4 * limitBytes else { throw .tooLong(limitBytes: limitBytes) }
    var scan = Scan()
    for scalar in text.precomposedStringWithCanonicalMapping.unicodeScalars {
      switch scan.take(scalar) {
      case .kept: break
      case .invisible: throw .refused(scalar)
      case .excessMark: throw .tooManyMarks
      }
    }
    guard !scan.line.isEmpty else { throw .empty }
    guard scan.line.utf8.count <= limitBytes else { throw .tooLong(limitBytes: limitBytes) }
    return scan.line
  }

  /// The text with everything left out that `checked(_:)` would refuse, cut at a whole character;
  /// nil when nothing is left. For names that no person is there to correct, such as a machine's
  /// own.
  package static func cleaned(_ text: String?, limitBytes: Int = machineLimitBytes) -> String? {
    guard let text else { return nil }
    // The beginning of a long text is enough, and no character holds more scalars than the rule
    // admits.
    let beginning = String(String.UnicodeScalarView(text.unicodeScalars.prefix(16 * limitBytes)))
    var scan = Scan()
    for scalar in beginning.precomposedStringWithCanonicalMapping.unicodeScalars {
      if scalar.properties.generalCategory == .control {
        scan.blank()
      } else {
        _ = scan.take(scalar)
      }
    }
    var line = ""
    for character in scan.line {
      guard line.utf8.count + character.utf8.count <= limitBytes else { break }
      line.append(character)
    }
    while line.last == " " { line.removeLast() }
    return line.isEmpty ? nil : line
  }

  /// What reads a name scalar by scalar and keeps what the rule admits.
  private struct Scan {
    enum Verdict {
      case kept
      case invisible
      case excessMark
    }

    private(set) var line = ""
    private var hasBlank = false
    /// Marks since the last letter, and the last of them.
    private var marks = 0
    private var lastMark: Unicode.Scalar?

    /// Marks that one letter may carry, as Unicode Technical Standard 39, section 5.4, advises.
    private static let mostMarks = 4

    mutating func blank() { hasBlank = true }

    mutating func take(_ scalar: Unicode.Scalar) -> Verdict {
      switch scalar.properties.generalCategory {
      case .spaceSeparator:
        blank()
        return .kept
      case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse,
        .unassigned:
        return .invisible
      case .nonspacingMark, .enclosingMark:
        // Variation selectors 15 and 16 choose between two drawings of one emoji.
        if scalar == "\u{FE0E}" || scalar == "\u{FE0F}" { return .kept }
        if scalar.properties.isDefaultIgnorableCodePoint { return .invisible }
        guard !line.isEmpty, !hasBlank, marks < Self.mostMarks, scalar != lastMark else {
          return .excessMark
        }
        marks += 1
        lastMark = scalar
      default:
        // Fillers are letters by category; a blank Braille pattern and the sign for undecodable
        // bytes are symbols.
        if scalar.properties.isDefaultIgnorableCodePoint || scalar == "\u{2800}"
          || scalar == "\u{FFFD}"
        {
          return .invisible
        }
        marks = 0
        lastMark = nil
      }
      if hasBlank, !line.isEmpty { line.append(" ") }
      hasBlank = false
      line.unicodeScalars.append(scalar)
      return .kept
    }
  }
}
