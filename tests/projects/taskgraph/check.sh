cat words.txt
test "$(wc -l < words.txt)" -ge 2
