import CKernels

/// How the key/value cache stores its numbers. The type belongs to the work unit: f32 for training
/// and golden tests, f16 for generation.
package enum CacheElement: String, Sendable, CaseIterable {
  case f16, f32

  var bytes: Int { self == .f16 ? 2 : 4 }
}

/// What one layer keeps of every position.
package struct CacheLayer: Sendable, Equatable {
  /// K: key/value heads.
  package var heads: Int
  package var keyDimension: Int
  package var valueDimension: Int

  package init(heads: Int, keyDimension: Int, valueDimension: Int) {
    precondition(heads > 0 && keyDimension > 0 && valueDimension > 0)
    self.heads = heads
    self.keyDimension = keyDimension
    self.valueDimension = valueDimension
  }

  var valueStride: Int { roundUp(valueDimension, 16) }
  /// Elements of one head in a block of 64 positions: keys `[dimension][64]`, then values
  /// `[64][valueStride]`.
  var headElements: Int { Int(CK_KEYS) * (keyDimension + valueStride) }
}

/// Keys and values of one sequence, all layers, in blocks of 64 positions that forks share until
/// one writes. Owned by one executor at a time.
package final class KeyValueCache {
  package let layers: [CacheLayer]
  package let element: CacheElement
  /// Positions that may be written: a multiple of 64.
  package var capacity: Int { blocks.count * Int(CK_KEYS) }
  private let layerOffsets: [Int]
  private let blockBytes: Int
  private var blocks: [AlignedMemory] = []
  /// The addresses of `blocks`, as the kernels want them; grown by doubling.
  private(set) var addressTable: UnsafeMutablePointer<UnsafeRawPointer?>
  private var addressCapacity = 4

  package init(layers: [CacheLayer], element: CacheElement) {
    self.layers = layers
    self.element = element
    var offsets: [Int] = []
    var elements = 0
    for layer in layers {
      offsets.append(elements)
      elements += layer.heads * layer.headElements
    }
    layerOffsets = offsets
    blockBytes = elements * element.bytes
    addressTable = .allocate(capacity: addressCapacity)
    addressTable.initialize(repeating: nil, count: addressCapacity)
  }

  deinit { addressTable.deallocate() }

  /// Bytes held, including blocks that forks share.
  package var byteCount: Int { blocks.reduce(0) { $0 + $1.byteCount } }

  /// Bytes that a sequence of `positions` positions needs.
  package static func byteCount(
    layers: [CacheLayer], element: CacheElement, positions: Int
  ) -> Int {
    let elements = layers.reduce(0) { $0 + $1.heads * $1.headElements }
    return elements * element.bytes * ((positions + Int(CK_KEYS) - 1) / Int(CK_KEYS))
  }

  /// Makes positions `range` writable: allocates blocks and copies those that a fork shares. Call
  /// it before a step that stores these positions.
  /// - Throws: `KernelError.outOfResources`.
  package func prepare(_ range: Range<Int>) throws(KernelError) {
    precondition(range.lowerBound >= 0)
    guard !range.isEmpty else { return }
    let last = (range.upperBound - 1) / Int(CK_KEYS)
    while blocks.count <= last {
      let block = try AlignedMemory(byteCount: blockBytes)
      append(block)
    }
    for index in (range.lowerBound / Int(CK_KEYS))...last
    where !isKnownUniquelyReferenced(&blocks[index]) {
      let copy = try AlignedMemory(byteCount: blockBytes)
      copy.base.copyMemory(from: blocks[index].base, byteCount: blockBytes)
      blocks[index] = copy
      addressTable[index] = UnsafeRawPointer(copy.base)
    }
  }

  private func append(_ block: AlignedMemory) {
    if blocks.count == addressCapacity {
      let larger = UnsafeMutablePointer<UnsafeRawPointer?>.allocate(capacity: 2 * addressCapacity)
      larger.initialize(repeating: nil, count: 2 * addressCapacity)
      larger.update(from: addressTable, count: addressCapacity)
      addressTable.deallocate()
      addressTable = larger
      addressCapacity *= 2
    }
    addressTable[blocks.count] = UnsafeRawPointer(block.base)
    blocks.append(block)
  }

  /// A second sequence with the same positions so far; memory is shared until one of them writes.
  package func fork() -> KeyValueCache {
    let copy = KeyValueCache(layers: layers, element: element)
    for block in blocks { copy.append(block) }
    return copy
  }

  /// Gives up blocks that lie wholly at or beyond position `length`.
  package func truncate(to length: Int) {
    let keep = min(blocks.count, (length + Int(CK_KEYS) - 1) / Int(CK_KEYS))
    blocks.removeLast(blocks.count - keep)
  }

  /// Offset of a head's keys in a block, in elements; its values follow at `keyDimension * 64`.
  func offset(layer: Int, head: Int) -> Int {
    layerOffsets[layer] + head * layers[layer].headElements
  }

  func block(at position: Int) -> UnsafeMutableRawPointer {
    precondition(position < capacity, "position \(position) was not prepared")
    return blocks[position / Int(CK_KEYS)].base
  }

  /// A head's key and value at a position, as floats.
  func read(
    _ position: Int, layer: Int, head: Int, key: UnsafeMutablePointer<Float>,
    value: UnsafeMutablePointer<Float>
  ) {
    let (cached, slot) = (layers[layer], position % Int(CK_KEYS))
    let block = block(at: position)
    let keys = offset(layer: layer, head: head)
    let values = keys + Int(CK_KEYS) * cached.keyDimension + slot * cached.valueStride
    func number(_ index: Int) -> Float {
      switch element {
      case .f16: ck_float_of_f16(block.load(fromByteOffset: index * 2, as: UInt16.self))
      case .f32: block.load(fromByteOffset: index * 4, as: Float.self)
      }
    }
    for at in 0..<cached.keyDimension { key[at] = number(keys + at * Int(CK_KEYS) + slot) }
    for at in 0..<cached.valueDimension { value[at] = number(values + at) }
  }
}
