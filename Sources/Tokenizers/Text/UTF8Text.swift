/// Appends the UTF-8 encoding of a scalar.
func appendScalar(_ scalar: Unicode.Scalar, to buffer: inout [UInt8]) {
  buffer.append(contentsOf: scalar.utf8)
}

/// Bytes of the UTF-8 sequence that `lead` starts; 1 for a byte that starts none.
func sequenceLength(_ lead: UInt8) -> Int {
  switch lead {
  case 0xC2...0xDF: 2
  case 0xE0...0xEF: 3
  case 0xF0...0xF4: 4
  default: 1
  }
}

/// The scalar at `position` of valid UTF-8 and the length of its encoding; malformed bytes give
/// U+FFFD, one at a time.
func decodeScalar(_ bytes: [UInt8], at position: Int) -> (scalar: Unicode.Scalar, length: Int) {
  let lead = bytes[position]
  if lead < 0x80 { return (Unicode.Scalar(lead), 1) }
  let length = sequenceLength(lead)
  guard length > 1, position + length <= bytes.count else { return ("\u{FFFD}", 1) }
  var value = UInt32(lead) & (0x7F >> UInt32(length))
  for offset in 1..<length { value = value << 6 | UInt32(bytes[position + offset] & 0x3F) }
  return (Unicode.Scalar(value) ?? "\u{FFFD}", length)
}

/// Where the scalar that ends before `end` begins.
func scalarStart(_ bytes: [UInt8], before end: Int) -> Int {
  var start = end - 1
  while start > 0, bytes[start] & 0xC0 == 0x80 { start -= 1 }
  return start
}

/// The places at which `needle`, not empty, occurs in a part of `bytes`, leftmost first and without
/// overlap.
func occurrences(of needle: [UInt8], in bytes: [UInt8], _ range: Range<Int>) -> [Range<Int>] {
  var found: [Range<Int>] = []
  guard let first = needle.first else { return found }
  var position = range.lowerBound
  let last = range.upperBound - needle.count
  while position <= last {
    if bytes[position] == first,
      needle.count == 1 || bytes[position..<position + needle.count].elementsEqual(needle)
    {
      found.append(position..<position + needle.count)
      position += needle.count
    } else {
      position += 1
    }
  }
  return found
}

/// `bytes` with every occurrence of `needle` replaced.
func replacing(_ needle: [UInt8], with content: [UInt8], in bytes: [UInt8]) -> [UInt8] {
  let found = occurrences(of: needle, in: bytes, bytes.indices)
  return found.isEmpty ? bytes : replacing(found, with: content, in: bytes)
}

/// `bytes` with the given ascending ranges replaced.
func replacing(_ ranges: [Range<Int>], with content: [UInt8], in bytes: [UInt8]) -> [UInt8] {
  var result: [UInt8] = []
  result.reserveCapacity(bytes.count)
  var copied = 0
  for range in ranges {
    result.append(contentsOf: bytes[copied..<range.lowerBound])
    result.append(contentsOf: content)
    copied = range.upperBound
  }
  result.append(contentsOf: bytes[copied...])
  return result
}
