extension TemplateClock {
  private static let months = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
  ]
  private static let days = [
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
  ]

  /// Python's `strftime` in the C locale on Linux: all directives, with glibc's flags (`-` no
  /// padding, `_` blanks, `0` zeros, `^` capitals, `#` the other case) and widths. What is no
  /// directive stays as it is written.
  package func formatted(_ format: String) -> String {
    var result = ""
    var rest = Array(format.unicodeScalars)[...]
    while let scalar = rest.popFirst() {
      guard scalar == "%" else {
        result.unicodeScalars.append(scalar)
        continue
      }
      let written = rest
      var flags: [Unicode.Scalar] = []
      while let flag = rest.first, "-_0^#".unicodeScalars.contains(flag) {
        flags.append(flag)
        rest.removeFirst()
      }
      var width = 0
      while let digit = rest.first, digit.isASCIIDigit {
        width = min(width * 10 + Int(digit.value - 0x30), 1000)
        rest.removeFirst()
      }
      // Modifiers for other calendars change nothing here.
      if rest.first == "E" || rest.first == "O" { rest.removeFirst() }
      guard let directive = rest.popFirst(), let field = field(directive) else {
        result += "%" + PythonText.string(written[..<rest.startIndex])
        continue
      }
      result += field.text(flags, width)
    }
    return result
  }

  /// What a directive gives before flags and width.
  private struct Field {
    var value: String
    /// For numbers, how wide they are and what fills them up.
    var width = 0
    var fill: Character = "0"
    /// What `#` makes of it: small letters instead of capitals.
    var hasOtherCase = false

    func text(_ flags: [Unicode.Scalar], _ given: Int) -> String {
      var fill = width > 0 ? self.fill : " "
      var least = width
      var text = value
      for flag in flags {
        switch flag {
        case "-": least = 0
        case "_": fill = " "
        case "0": fill = "0"
        case "^": text = text.uppercased()
        default: text = hasOtherCase ? text.lowercased() : text.uppercased()
        }
      }
      least = max(least, given)
      return String(repeating: fill, count: max(0, least - text.count)) + text
    }
  }

  private func field(_ directive: Unicode.Scalar) -> Field? {
    func number(_ value: Int, _ width: Int = 2, _ fill: Character = "0") -> Field {
      Field(value: String(value), width: width, fill: fill)
    }
    func text(_ value: some StringProtocol) -> Field { Field(value: String(value)) }
    let twelve = hour % 12 == 0 ? 12 : hour % 12
    switch directive {
    case "Y": return number(year, 1)
    case "C": return number(year / 100)
    case "y": return number(year % 100)
    case "G": return number(isoWeek.year, 1)
    case "g": return number(isoWeek.year % 100)
    case "V": return number(isoWeek.week)
    case "U": return number((dayOfYear + 6 - weekday) / 7)
    case "W": return number((dayOfYear + 6 - (weekday + 6) % 7) / 7)
    case "m": return number(month)
    case "d": return number(day)
    case "e": return number(day, 2, " ")
    case "H": return number(hour)
    case "k": return number(hour, 2, " ")
    case "I": return number(twelve)
    case "l": return number(twelve, 2, " ")
    case "M": return number(minute)
    case "S": return number(second)
    case "f": return number(0, 6)
    case "j": return number(dayOfYear, 3)
    case "w": return number(weekday, 1)
    case "u": return number(weekday == 0 ? 7 : weekday, 1)
    case "s": return number(secondsSince1970, 1)
    case "p": return Field(value: hour < 12 ? "AM" : "PM", hasOtherCase: true)
    case "P": return text(hour < 12 ? "am" : "pm")
    case "B": return text(Self.months[month - 1])
    case "b", "h": return text(Self.months[month - 1].prefix(3))
    case "A": return text(Self.days[weekday])
    case "a": return text(Self.days[weekday].prefix(3))
    case "F": return text(formatted("%Y-%m-%d"))
    case "D", "x": return text(formatted("%m/%d/%y"))
    case "T", "X": return text(formatted("%H:%M:%S"))
    case "R": return text(formatted("%H:%M"))
    case "r": return text(formatted("%I:%M:%S %p"))
    case "c": return text(formatted("%a %b %e %H:%M:%S %Y"))
    // The moment has no time zone.
    case "Z", "z": return text("")
    case "n": return text("\n")
    case "t": return text("\t")
    case "%": return text("%")
    default: return nil
    }
  }

  /// The year and number of the week by ISO 8601: weeks begin on Monday, the first one holds the
  /// year's first Thursday.
  private var isoWeek: (year: Int, week: Int) {
    let sinceMonday = (weekday + 6) % 7
    let week = (dayOfYear - sinceMonday + 9) / 7
    if week < 1 { return (year - 1, Self.weeks(in: year - 1)) }
    return week > Self.weeks(in: year) ? (year + 1, 1) : (year, week)
  }

  private static func weeks(in year: Int) -> Int {
    let last = TemplateClock(year: year, month: 12, day: 31)
    let first = TemplateClock(year: year, month: 1, day: 1)
    return first.weekday == 4 || last.weekday == 4 ? 53 : 52
  }

  private var secondsSince1970: Int {
    // Days before the year, from the number of leap years before it.
    let years = year - 1
    let days = years * 365 + years / 4 - years / 100 + years / 400 + dayOfYear - 1 - 719_162
    return ((days * 24 + hour) * 60 + minute) * 60 + second
  }
}
