import Foundation

/// Weights in an order that compresses: of numbers of two or four bytes, all exponents together.
///
/// Each little-endian word is rotated left by one bit, which puts the sign of a bfloat16 or float32
/// behind its mantissa and makes the highest byte the exponent; then come all highest bytes, all
/// second highest, and so on. Bytes that make up no word follow as they are.
package enum BytePlanes {
  /// The planes of words of `width` bytes, 2 or 4; as many bytes as before.
  package static func split(_ bytes: Data, width: Int) -> Data {
    width == 4 ? split(bytes, UInt32.self) : split(bytes, UInt16.self)
  }

  /// What `split` was given.
  package static func join(_ planes: Data, width: Int) -> Data {
    width == 4 ? join(planes, UInt32.self) : join(planes, UInt16.self)
  }

  private static func split<Word: FixedWidthInteger>(_ bytes: Data, _: Word.Type) -> Data {
    let (width, words) = (MemoryLayout<Word>.size, bytes.count / MemoryLayout<Word>.size)
    var result = Data(count: bytes.count)
    result.withUnsafeMutableBytes { (target: UnsafeMutableRawBufferPointer) in
      bytes.withUnsafeBytes { (source: UnsafeRawBufferPointer) in
        for index in 0..<words {
          let word = Word(
            littleEndian: source.loadUnaligned(fromByteOffset: index * width, as: Word.self))
          let rotated = word << 1 | word >> Word(Word.bitWidth - 1)
          for plane in 0..<width {
            let byte = rotated >> Word(8 * (width - 1 - plane))
            target[plane * words + index] = UInt8(truncatingIfNeeded: byte)
          }
        }
        for index in words * width..<bytes.count { target[index] = source[index] }
      }
    }
    return result
  }

  private static func join<Word: FixedWidthInteger>(_ planes: Data, _: Word.Type) -> Data {
    let (width, words) = (MemoryLayout<Word>.size, planes.count / MemoryLayout<Word>.size)
    var result = Data(count: planes.count)
    result.withUnsafeMutableBytes { (target: UnsafeMutableRawBufferPointer) in
      planes.withUnsafeBytes { (source: UnsafeRawBufferPointer) in
        for index in 0..<words {
          var rotated: Word = 0
          for plane in 0..<width { rotated = rotated << 8 | Word(source[plane * words + index]) }
          let word = rotated >> 1 | rotated << Word(Word.bitWidth - 1)
          target.storeBytes(of: word.littleEndian, toByteOffset: index * width, as: Word.self)
        }
        for index in words * width..<planes.count { target[index] = source[index] }
      }
    }
    return result
  }
}
