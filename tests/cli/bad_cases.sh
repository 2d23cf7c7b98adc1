# The bad inputs that javm-batch must refuse, each with its message: sourced by bad_input.sh, which runs them
# and makes docs/bad-input-jobs.md from them.
#
# section TITLE
# bad DESCRIPTION CONTENT MESSAGE
#   CONTENT is the jobs file, for printf %b; @D stands for the line that defines the image "d".
#   MESSAGE is the first line on standard error, without the name of the jobs file.

EXPECTED_JOB='a job has id, invoke, endpoint, args, gas, input, output, repeat, expect, x-...'

bad_cases() {
section 'Text that is not JSON'
bad 'cut off inside an object' '{"image":"d"' '1:13: expected '"',' or '}'"', found the end of the text'
bad 'cut off inside a string' '@D{"id":"abc' '2:7: this string is not closed'
bad 'a key without quotes' '@D{invoke:"d"}' "2:2: expected a key in double quotes, found 'i'"
bad 'single quotes' "@D{'invoke':'d'}" "2:2: expected a key in double quotes, found '''"
bad 'a comma after the last field' '@D{"invoke":"d",}' "2:15: expected a key in double quotes, found '}'"
bad 'two values on a line' '@D{"invoke":"d"} {"invoke":"d"}' "2:16: expected nothing more after the value, found '{'"
bad 'a comment after the value' '@D{"invoke":"d"} // once' "2:16: expected nothing more after the value, found '/'"
bad 'a control character in a string' '@D{"id":"a\tb","invoke":"d"}' '2:9: control character in a string; write \u0009'
bad 'a NUL byte in a string' '@D{"id":"a\0000b","invoke":"d"}' '2:9: control character in a string; write \u0000'
bad 'a NUL byte in front' '@D\0000{"invoke":"d"}' '2:1: expected a JSON value, found byte 0x00'
bad 'a byte that is not UTF-8' '@D{"id":"a\0377","invoke":"d"}' '2:9: byte 0xff is not UTF-8 here'
bad 'an overlong UTF-8 form' '@D{"id":"\0300\0200","invoke":"d"}' '2:8: byte 0xc0 is not UTF-8 here'
bad 'half of a surrogate pair' '@D{"id":"\\ud800","invoke":"d"}' '2:8: unpaired surrogate \ud800 in a string'
bad 'an unknown escape' '@D{"id":"a\\x41","invoke":"d"}' '2:9: unknown escape in a string; known: \" \\ \/ \b \f \n \r \t \uXXXX'
bad 'a byte order mark' '\0357\0273\0277@D' '1:1: byte order mark; expected plain UTF-8 without one'
bad 'a field twice' '@D{"id":1,"invoke":"d","id":2}' '2:22: this key stands twice in the same object'
bad 'nested too deeply' '@D{"x-a":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[' '2:71: nested deeper than 64 levels'
bad 'a number with a superfluous 0' '@D{"invoke":"d","gas":010}' '2:21: a number must not start with a superfluous 0'
bad 'not an object' '@D["invoke","d"]' '2:1: expected an object {...}'

section 'Fields'
bad 'neither definition nor job' '@D{"id":"j"}' '2:1: expected a definition (image, instance) or a job with a field invoke'
bad 'an unknown field of a job' '@D{"invoke":"d","argz":[1]}' '2:15: unknown field "argz"; '"$EXPECTED_JOB"
bad 'an unknown field of an image' '{"image":"d","load":"demo.jimg","root":"x"}' '1:33: unknown field "root"; known here: image, load, x-...'
bad 'an unknown field of an instance' '@D{"instance":"i","image":"d","slot":{}}' '2:29: unknown field "slot"; known here: instance, image, slots, x-...'
bad 'the field chain' '@D{"invoke":"d","chain":"c"}' '2:15: chain: not in this version'
bad 'the field program' '@D{"program":"svc.pvm","v2":{}}' '2:2: program: not in this version'
bad 'an id of the wrong type' '@D{"id":[1],"invoke":"d"}' '2:7: id: expected a string or an integer'
bad 'an id that is no integer' '@D{"id":1.5,"invoke":"d"}' '2:7: id: expected a string or an integer'
bad 'invoke of the wrong type' '@D{"invoke":5}' '2:11: invoke: expected a string'
bad 'args that are no list' '@D{"invoke":"d","args":5}' '2:22: args: expected an array of up to 4 integers'
bad 'five args' '@D{"invoke":"d","args":[1,2,3,4,5]}' '2:31: args: more than 4 of them'
bad 'an arg of the wrong type' '@D{"invoke":"d","args":[true]}' '2:23: args: expected an integer 0..18446744073709551615, as a number or as "0x" and up to 16 hex digits'
bad 'an arg with a fraction' '@D{"invoke":"d","args":[1.5]}' '2:23: args: expected an integer 0..18446744073709551615, as a number or as "0x" and up to 16 hex digits'
bad 'an arg of 2^64' '@D{"invoke":"d","args":[18446744073709551616]}' '2:23: integer outside 0..18446744073709551615'
bad 'a negative arg' '@D{"invoke":"d","args":[-1]}' '2:23: args: integer outside 0..18446744073709551615'
bad 'an arg with 17 hex digits' '@D{"invoke":"d","args":["0x10000000000000000"]}' '2:23: args: expected an integer 0..18446744073709551615, as a number or as "0x" and up to 16 hex digits'
bad 'an arg with a bad hex digit' '@D{"invoke":"d","args":["0x1g"]}' '2:23: args: expected an integer 0..18446744073709551615, as a number or as "0x" and up to 16 hex digits'
bad 'gas of 2^64' '@D{"invoke":"d","gas":18446744073709551616}' '2:21: integer outside 0..18446744073709551615'
bad 'gas as a decimal string' '@D{"invoke":"d","gas":"100"}' '2:21: gas: expected an integer 0..18446744073709551615, as a number or as "0x" and up to 16 hex digits'
bad 'an endpoint of 2^32' '@D{"invoke":"d","endpoint":4294967296}' '2:26: endpoint: integer outside 0..4294967295'
bad 'an endpoint the image has not' '@D{"invoke":"d","endpoint":10}' '2:26: endpoint: the image has no endpoint 10; it has 0, 1, 2, 3, 4, 5, 6, 7, 8, 9'
bad 'an unknown output mode' '@D{"invoke":"d","output":"hex"}' '2:24: output: expected "none", "hash" or "bytes"'
bad 'repeat of 0' '@D{"invoke":"d","repeat":0}' '2:24: repeat: expected at least 1'
bad 'a negative repeat' '@D{"invoke":"d","repeat":-3}' '2:24: repeat: integer outside 0..9223372036854775807'

section 'Input'
bad 'input of the wrong type' '@D{"invoke":"d","input":5}' '2:23: input: expected a string: "0x..", "@file" or plain text'
bad 'input with an odd number of digits' '@D{"invoke":"d","input":"0x123"}' '2:23: input: odd number of hex digits; expected two for each byte'
bad 'input with a bad hex digit' '@D{"invoke":"d","input":"0x12zz"}' '2:28: input: expected hex digits after 0x'
bad 'an input file that is missing' '@D{"invoke":"d","input":"@nowhere.bin"}' '2:23: input: cannot open nowhere.bin: No such file or directory'
bad 'an input file without a name' '@D{"invoke":"d","input":"@"}' '2:23: expected a file name, found an empty string'
bad 'an input file name with a NUL' '@D{"invoke":"d","input":"@a\\u0000b"}' '2:23: a file name cannot contain a NUL character'
bad 'input longer than the mapping of slot 0' '@D{"invoke":"d","input":"@big.bin"}' '2:23: input: 10000 bytes; the image maps 8192 for slot 0'

section 'Names and hashes'
bad 'a name that is not defined' '@D{"invoke":"e"}' '2:11: invoke: the name "e" is not defined before this line'
bad 'a name that is defined later' '{"invoke":"d"}\n@D' '1:11: invoke: the name "d" is not defined before this line'
bad 'a name defined twice' '@D@D' '2:10: image: the name "d" is already defined'
bad 'an instance with the name of an image' '@D{"instance":"d","image":"d"}' '2:13: instance: the name "d" is already defined'
bad 'an empty name' '{"image":"","load":"demo.jimg"}' '1:10: image: expected a name, found an empty string'
bad 'a name like a hash' '{"image":"0xab","load":"demo.jimg"}' '1:10: image: a name cannot start with 0x, that would read as a hash'
bad 'a hash that is too short' '@D{"invoke":"0x1234"}' '2:11: invoke: expected 0x and 64 hex digits, or a name'
bad 'a hash of nothing that is loaded' '@D{"invoke":"0x0000000000000000000000000000000000000000000000000000000000000001"}' '2:11: invoke: nothing loaded so far has this hash'

section 'Images'
bad 'an image without a file' '{"image":"d"}' '1:1: image: expected a field load with the file'"'"'s name'
bad 'load of the wrong type' '{"image":"d","load":7}' '1:21: load: expected a string'
bad 'an image file that is missing' '{"image":"d","load":"nowhere.jimg"}' '1:21: load: cannot open nowhere.jimg: No such file or directory'
bad 'a folder in place of a file' '{"image":"d","load":"."}' '1:21: load: cannot read .: it is a directory'
bad 'a file that is no image' '{"image":"d","load":"big.bin"}' '1:21: load: big.bin: neither a bundle (.jimg, .jbundle) nor a linked RISC-V ELF file'
bad 'an empty file' '{"image":"d","load":"empty.bin"}' '1:21: load: empty.bin: neither a bundle (.jimg, .jbundle) nor a linked RISC-V ELF file'
bad 'half an image file' '{"image":"d","load":"cut.jimg"}' '1:21: load: cut.jimg: @CUT'
bad 'an image file with a flipped bit' '{"image":"d","load":"flipped.jimg"}' '1:21: load: flipped.jimg: @FLIPPED'
bad 'a bundle without a root named image' '{"image":"d","load":"two.jbundle"}' '1:21: load: two.jbundle: expected a root named image, found 2 others'
bad 'a bundle whose root is no image' '{"image":"d","load":"data.jbundle"}' '1:21: expected an Image, found Data'

section 'Instances and slots'
bad 'an instance without an image' '@D{"instance":"i"}' '2:1: instance: expected a field image with a defined image'"'"'s name'
bad 'an image name that is not defined' '@D{"instance":"i","image":"e"}' '2:25: image: the name "e" is not defined before this line'
bad 'an instance where an image is expected' '@D{"instance":"i","image":"d"}\n{"instance":"k","image":"i"}' '3:25: image: "i" names an instance'
bad 'an instance that holds itself' '@D{"instance":"i","image":"d","slots":{"6":{"instance":"i"}}}' '2:54: instance: the name "i" is not defined before this line'
bad 'instances that hold each other' '@D{"instance":"i","image":"d","slots":{"6":{"instance":"k"}}}\n{"instance":"k","image":"d","slots":{"6":{"instance":"i"}}}' '2:54: instance: the name "k" is not defined before this line'
bad 'an image where an instance is expected' '@D{"instance":"i","image":"d","slots":{"6":{"instance":"d"}}}' '2:54: instance: "d" names an image'
bad 'slots of the wrong type' '@D{"instance":"i","image":"d","slots":[1]}' '2:37: slots: expected an object'
bad 'a slot that is no number' '@D{"instance":"i","image":"d","slots":{"five":{"data":"0x00"}}}' '2:38: slots: expected a slot number (decimal or 0x...), found "five"'
bad 'a slot number of 2^64' '@D{"instance":"i","image":"d","slots":{"18446744073709551616":{"data":"0x00"}}}' '2:38: slots: expected a slot number (decimal or 0x...), found "18446744073709551616"'
bad 'a slot twice in two spellings' '@D{"instance":"i","image":"d","slots":{"6":{"data":"0x00"},"0x6":{"data":"0x00"}}}' '2:58: slots: this slot is filled twice'
bad 'a slot filled with a number' '@D{"instance":"i","image":"d","slots":{"6":7}}' '2:42: slots: expected {"data": file or "0x.."}, {"instance": name} or {"image": name}'
bad 'a slot filled with two things' '@D{"instance":"i","image":"d","slots":{"6":{"data":"0x00","image":"d"}}}' '2:42: slots: expected {"data": file or "0x.."}, {"instance": name} or {"image": name}'
bad 'a slot with unknown content' '@D{"instance":"i","image":"d","slots":{"6":{"file":"a"}}}' '2:43: slots: expected {"data": file or "0x.."}, {"instance": name} or {"image": name}'
bad 'a data file that is missing' '@D{"instance":"i","image":"d","slots":{"6":{"data":"nowhere.bin"}}}' '2:50: data: cannot open nowhere.bin: No such file or directory'
bad 'data with a bad hex digit' '@D{"instance":"i","image":"d","slots":{"6":{"data":"0x0q"}}}' '2:54: data: expected hex digits after 0x'
bad 'a slot that the image pins' '@D{"instance":"i","image":"d","slots":{"9":{"data":"0x00"}}}' '2:38: slots: the image pins this slot; it cannot be filled here'
bad 'data longer than its mapping' '@D{"instance":"i","image":"d","slots":{"5":{"data":"big.bin"}}}' '2:42: slots: 3 pages of data; the image maps 1 for this slot'
bad 'an image where memory is mapped' '@D{"instance":"i","image":"d","slots":{"5":{"image":"d"}}}' '2:42: slots: the image maps this slot as memory; expected data'

section 'Expectations'
bad 'expect of the wrong type' '@D{"invoke":"d","expect":1}' '2:24: expect: expected an object of result fields'
bad 'an unknown field in expect' '@D{"invoke":"d","expect":{"us":5}}' '2:25: unknown field "us"; expect can have exit, value, addr, selector, yield_key, error, gas_used, output, output_hash, post'
bad 'an unknown exit' '@D{"invoke":"d","expect":{"exit":"ok"}}' '2:32: expect.exit: expected one of halt, trap, panic, page_fault, out_of_gas, paused, host_call, crashed, error'
bad 'an expected value of 2^64' '@D{"invoke":"d","expect":{"value":18446744073709551616}}' '2:33: integer outside 0..18446744073709551615'
bad 'an expected output that is not asked for' '@D{"invoke":"d","output":"hash","expect":{"output":"0x"}}' '2:41: expect.output: needs "output":"bytes"'
bad 'an expected hash that is too short' '@D{"invoke":"d","expect":{"post":"0x12"}}' '2:32: expect.post: expected "0x" and 64 hex digits'
bad 'an expected yield key that is too long' '@D{"invoke":"d","expect":{"yield_key":"0x112233445566778899"}}' '2:37: expect.yield_key: expected "0x" and 1 to 8 bytes in hex'
}
